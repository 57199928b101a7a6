"""Single flight: of identical requests under way that may be cached, one asks upstream and the others wait for it.

Whoever comes first leads. The others wait for its end, each with bounded patience, and then look into the cache; where
the answer is not there (it may not be cached, or the leader failed) they go on by themselves, all at once. Where the
leader gives up, since its client went, the first of them leads in its place. In one process that is a matter of
futures; between processes of leases, which end by themselves where their holder has died.
Knows turns, and neither requests nor answers.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal, Protocol

Lease = Literal["mine", "theirs", "over", "away"]
_LOOK_EVERY_S = (0.02, 0.2)


class Leases(Protocol):
    """Who leads, among processes."""

    async def take(self, key: str, token: str) -> Lease:
        """Lead, where nobody does.   over : who did has ended a moment ago.   away : it cannot be known."""
        ...

    def end(self, key: str, token: str, *, over: bool) -> None:
        """Lead no more.   over : there is an answer, or there will be none; others need not lead in turn."""
        ...

    async def aclose(self) -> None:
        """Let go of what is held."""
        ...


@dataclass(slots=True, kw_only=True, eq=False)
class Flight:
    """A request's part in one.

    others : another one's answer may be in the cache by now.   waited_s : for how long it was waited for.
    """

    others: bool = False
    waited_s: float = 0.0
    _ended: Callable[[bool], None] | None = None  # of one that leads

    def over(self) -> None:
        """Its answer is kept, or will not be. Whoever waits for it looks now."""
        self._end(over=True)

    def give_up(self) -> None:
        """There is no answer of it, and somebody else should ask."""
        self._end(over=False)

    def _end(self, *, over: bool) -> None:
        ended, self._ended = self._ended, None
        if ended is not None:
            ended(over)


@dataclass(slots=True, kw_only=True, eq=False)
class _Lead:
    """over : whether it ended as ``Flight.over``.   leased : other processes know of it."""

    over: asyncio.Future[bool]
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    leased: bool = False


class Flights:
    """leases : None where this process is the only one, or all that know of each other.

    wait_s : nobody waits for longer; 0: nobody waits at all.
    """

    def __init__(
        self, leases: Leases | None = None, *, wait_s: float = 30.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._leases, self._wait_s, self._clock = leases, wait_s, clock
        self._leading: dict[str, _Lead] = {}

    @asynccontextmanager
    async def boarded(self, key: str, patience_s: float) -> AsyncGenerator[Flight]:
        """While the request is answered, once nobody else is about to answer it, or after ``patience_s``."""
        if self._wait_s <= 0:
            yield Flight()
            return
        flight = await self._board(key, min(patience_s, self._wait_s))
        try:
            yield flight
        except Exception:
            flight.over()
            raise
        except BaseException:  # the client went, or the process goes
            flight.give_up()
            raise
        else:
            flight.over()

    async def aclose(self) -> None:
        """Let go of what other processes may wait for."""
        if self._leases is not None:
            await self._leases.aclose()

    async def _board(self, key: str, patience_s: float) -> Flight:
        began, waited = self._clock(), False
        ends = began + patience_s
        while (ahead := self._leading.get(key)) is not None:
            waited = True
            done, _ = await asyncio.wait({ahead.over}, timeout=max(0.0, ends - self._clock()))
            if not done or ahead.over.result():
                return Flight(others=True, waited_s=self._clock() - began)
        lead = self._leading[key] = _Lead(over=asyncio.get_running_loop().create_future())
        flight = Flight(_ended=lambda over: self._ended(key, lead, over=over))
        try:
            flight.others = await self._others_were_ahead(key, lead, ends) or waited
        except BaseException:
            flight.give_up()
            raise
        flight.waited_s = self._clock() - began
        return flight

    async def _others_were_ahead(self, key: str, lead: _Lead, ends: float) -> bool:
        """Wait until no other process leads; whether one did."""
        if self._leases is None:
            return False
        others, pause_s = False, _LOOK_EVERY_S[0]
        while True:
            lead.leased = True  # as it may be, should the answer not be waited for
            state = await self._leases.take(key, lead.token)
            lead.leased = state == "mine"
            if state != "theirs" or self._clock() + pause_s >= ends:
                return others or state in ("over", "theirs")
            others = True
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 1.5, _LOOK_EVERY_S[1])

    def _ended(self, key: str, lead: _Lead, *, over: bool) -> None:
        del self._leading[key]
        lead.over.set_result(over)
        if self._leases is not None and lead.leased:
            self._leases.end(key, lead.token, over=over)
