"""What a request must pass before anything is done for it: may this key ask for this, and for so much just now?

Knows callers, what is served, and who counts. Knows no body and no HTTP but header names.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from gateway.auth import ANONYMOUS
from gateway.budgets.counters import BudgetCounters
from gateway.capabilities import Needs
from gateway.errors import Forbidden, NotPermittedModel, RequestError
from gateway.keys import Caller
from gateway.policies import AUTO, PREFIX
from gateway.rates.limiter import RateLimiter
from gateway.rates.rates import rate_headers

PRESSURE_TAG = "spillway.pressure"


@dataclass(slots=True, kw_only=True)
class Passing:
    """A request that was let in.

    pressure : from 0 to 1, how much its budgets want cheaper answers.   headers : what the client is told of its rates.
    used_tokens : to be said before it ends; None counts as many as was thought.
    """

    pressure: float
    headers: Mapping[str, str]
    used_tokens: int | None = None

    @property
    def tags(self) -> dict[str, str]:
        """What the ledger keeps of it, for who asks why the request was decided so."""
        return {PRESSURE_TAG: f"{self.pressure:.6f}"} if self.pressure else {}


class Gate:
    """Lets requests in, and hears when they end."""

    def __init__(self, limiter: RateLimiter, budgets: BudgetCounters) -> None:
        self._limiter, self._budgets = limiter, budgets

    @asynccontextmanager
    async def passing(self, caller: Caller, request_id: str, needs: Needs) -> AsyncGenerator[Passing]:
        """While a request is under way. Raises RateLimited; errors on the way tell the rates too."""
        tokens = needs.prompt_tokens + needs.output_tokens
        ticket = await self._limiter.admit(caller.rates, tokens, request_id)
        told = rate_headers(ticket.verdict)
        place = replace(caller.place, key_id=None) if caller is ANONYMOUS else caller.place
        passing = Passing(pressure=self._budgets.pressure(place), headers=told)
        try:
            yield passing
        except RequestError as error:
            error.headers = told | error.headers
            raise
        finally:
            self._limiter.release(ticket, passing.used_tokens)


def must_be_open_to(caller: Caller, requested: str, policy: str | None) -> None:
    """Raises Forbidden for a key that only looks, NotPermittedModel for a name that the key does not have.

    policy : the one behind the name; a key that has ``cascade/<policy>`` may also call it ``auto``.
    """
    if caller.role == "viewer":
        raise Forbidden("This key is a viewer's: it sees spend and decisions, and calls no model.")
    names = (requested,) if policy is None else (requested, PREFIX + policy)
    if not caller.may_ask_for(*names):
        open_to = ", ".join(caller.models or ()) or "nothing"
        raise NotPermittedModel(f"This key may not ask for {requested!r}; it may ask for: {open_to}.", param="model")


def names_open_to(caller: Caller, names: tuple[str, ...], default: str | None) -> tuple[str, ...]:
    """Those of the served names that the key may ask for."""
    behind_auto = () if default is None else (PREFIX + default,)
    return tuple(name for name in names if caller.may_ask_for(name, *(behind_auto if name == AUTO else ())))
