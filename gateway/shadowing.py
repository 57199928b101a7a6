"""Asks a policy's reference model for what others have answered, so that what it would have cost is seen.

Such a call is an attempt of kind ``shadow`` of the request it repeats, reserved in a budget that only these calls have.
Nobody waits for it, it takes no place that another call waits for, and nobody sees its answer.
Knows tasks and who must hear of a call. Draws no lot and knows no HTTP.
"""

import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal

from gateway.budgets.budget import Budget, BudgetExceeded, NoBudget
from gateway.budgets.store import BudgetStore
from gateway.database import DatabaseError, DatabaseUnavailable
from gateway.errors import RequestError
from gateway.page import Page
from gateway.shadow import Shadow
from gateway.telemetry.metrics import Telemetry
from gateway.tenancy.scope import Scope
from router.backends.pool import Pool
from router.consulting import Consulting
from router.draining import Drainage
from router.errors import BackendError, BackendSaturated

Result = Literal["answered", "failed", "no_room", "over_budget", "refused", "cancelled"]
"""no_room: others wait for the model, or too many such calls are under way.   refused: by the ledger."""

_log = logging.getLogger("spillway.shadow")
_MOST = 32  # at once, in this process


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated:
    """A request that was answered, to be asked of another model.

    policy : whose request it is.   page : where its attempt is written down; no page of the request's own, which is
    settled.   place : the model's tier, from 0.   held : entered for as long as the call is under way.
    """

    policy: str
    shadow: Shadow
    request_id: str
    body: Mapping[str, Any]
    model: str
    place: int
    timeout_s: float
    page: Page
    pools: Mapping[str, Pool]
    held: AbstractContextManager[object]
    cache_salt: str | None = None  # the request's


class Shadowing:
    """The one that asks, for every configuration that is served."""

    def __init__(self, budgets: BudgetStore, telemetry: Telemetry) -> None:
        self._budgets, self._telemetry = budgets, telemetry
        self._under_way = Drainage(most=_MOST)
        self._bounded: dict[str, int] = {}  # what a policy's calls may cost a day, as the database has it

    def begin(self, repeated: Repeated) -> None:
        """Ask, beside everything else."""
        if not self._under_way.has_room:
            self._telemetry.shadowed(repeated.policy, "no_room")
            return
        held = ExitStack()
        held.enter_context(repeated.held)
        self._under_way.take(self._ask(repeated)).add_done_callback(lambda _: held.close())

    async def aclose(self) -> None:
        """Hang up on what is under way; it is settled as any call that was hung up on."""
        await self._under_way.aclose()

    async def _ask(self, repeated: Repeated) -> None:
        result: Result = "cancelled"
        try:
            result = await self._result(repeated)
        except Exception:  # noqa: BLE001 - nobody waits for it who could be told
            result = "failed"
            _log.exception("a shadow call of %s broke off", repeated.model)
        finally:
            self._telemetry.shadowed(repeated.policy, result)

    async def _result(self, repeated: Repeated) -> Result:
        asking = Consulting(
            repeated.pools,
            repeated.page,
            place=repeated.place,
            request_id=repeated.request_id,
            kind="shadow",
            cache_salt=repeated.cache_salt,
            waits=False,
        )
        try:
            await self._bound(repeated)
            await asking.ask(repeated.model, repeated.body, repeated.timeout_s)
        except BackendSaturated:
            return "no_room"
        except BackendError as error:
            _log.info("%s gave no answer in shadow: %s", repeated.model, error)
            return "failed"
        except BudgetExceeded as error:
            if isinstance(error, NoBudget):  # somebody took it away
                self._bounded.pop(repeated.policy, None)
            return "over_budget"
        except (RequestError, DatabaseError, DatabaseUnavailable) as error:
            _log.info("%s was not asked in shadow: %s", repeated.model, error)
            return "refused"
        return "answered"

    async def _bound(self, repeated: Repeated) -> None:
        """See to it that the policy's calls have their budget, which is the same one in every process."""
        policy, amount = repeated.policy, repeated.shadow.daily_nanousd
        if self._bounded.get(policy) == amount:
            return
        budget = Budget(
            budget_id=f"bud_shadow_{sha256(policy.encode()).hexdigest()[:16]}",
            scope=Scope(level="policy", id=policy),
            period="daily",
            amount_nanousd=amount,
            hard=True,
            alert_percents=(),
        )
        await self._budgets.keep(budget)
        self._bounded[policy] = amount
