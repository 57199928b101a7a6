"""One answer to "may this request pass now?", wherever rates are kept, also while that place is away.

Where the shared place does not answer, it is not asked again for a second; until it answers, each process counts for
itself (so that n processes let n times as much pass), or what has a limit is refused, as the configuration says.
Knows no arithmetic.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from gateway.rates.memory import MemoryRates
from gateway.rates.rates import RateLimited, Rates, RatesUnavailable, Verdict
from gateway.tenancy.scope import RateLimit

WhenDown = Literal["local", "closed"]
_log = logging.getLogger("spillway.rates")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A request that passed. reserved : the tokens that were taken for it."""

    name: str
    limits: Sequence[RateLimit]
    reserved: int
    verdict: Verdict
    kept_in: Rates | None


class RateLimiter:
    """shared : None where this process is the only one, or all that count together.

    lease_s : no request lasts longer. It may be changed, for those that come from then on.
    """

    def __init__(
        self,
        shared: Rates | None = None,
        *,
        when_down: WhenDown = "local",
        lease_s: float = 660.0,
        retry_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._shared, self._local = shared, MemoryRates()
        self._when_down, self.lease_s, self._retry_s, self._clock = when_down, lease_s, retry_s, clock
        self._away_until: float | None = None
        self.refused = 0  # for metrics
        self.unshared = 0  # requests that were counted here, or refused, because the shared place was away

    @property
    def trouble(self) -> str | None:
        """What is wrong at the moment; None if nothing is."""
        return None if self._away_until is None else "rates are not shared: Redis does not answer"

    async def admit(self, limits: Sequence[RateLimit], tokens: int, name: str) -> Ticket:
        """Raises RateLimited, or RatesUnavailable where that is wished."""
        if not limits:
            return Ticket(name=name, limits=limits, reserved=0, verdict=Verdict(), kept_in=None)
        kept_in, verdict = await self._take(limits, tokens, name)
        if verdict.refused is not None:
            self.refused += 1
            raise RateLimited(verdict)
        return Ticket(name=name, limits=limits, reserved=tokens, verdict=verdict, kept_in=kept_in)

    def release(self, ticket: Ticket, used: int | None) -> None:
        """The request has ended. used : the tokens that it took; None: as many as was thought."""
        if ticket.kept_in is not None:
            over = 0 if used is None else ticket.reserved - used
            ticket.kept_in.give_back(ticket.limits, over, ticket.name)

    async def aclose(self) -> None:
        """Let go of the shared place."""
        if self._shared is not None:
            await self._shared.aclose()

    async def _take(self, limits: Sequence[RateLimit], tokens: int, name: str) -> tuple[Rates, Verdict]:
        if self._shared is not None and (self._away_until is None or self._clock() >= self._away_until):
            try:
                verdict = await self._shared.take(limits, tokens, name, self.lease_s)
            except RatesUnavailable as error:
                self._lost(error)
            else:
                if self._away_until is not None:
                    _log.warning("rates are shared again")
                self._away_until = None
                return self._shared, verdict
        if self._shared is not None:
            self.unshared += 1
            if self._when_down == "closed":
                raise RatesUnavailable("rates cannot be counted at the moment", headers={"retry-after": "1"})
        return self._local, await self._local.take(limits, tokens, name, self.lease_s)

    def _lost(self, error: RatesUnavailable) -> None:
        if self._away_until is None:
            how = "each process counts for itself" if self._when_down == "local" else "what has a limit is refused"
            _log.warning("Redis does not answer (%s): until it does, %s", error.__cause__, how)
        self._away_until = self._clock() + self._retry_s
