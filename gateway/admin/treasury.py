"""What can be managed of budgets, by whom. The command line and the HTTP API come here alike.

Knows the law of roles and what makes sense. Speaks no SQL and no HTTP.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gateway.admin.office import Office
from gateway.budgets.alerts import AlertStore
from gateway.budgets.budget import Budget, Standing
from gateway.budgets.store import BudgetStore
from gateway.budgets.windows import PERIODS, Period
from gateway.errors import Forbidden, InvalidRequest, NotFound
from gateway.ledger.entry import usd
from gateway.tenancy.scope import Actor, Scope

_MOST_NANOUSD = 10**18  # a billion dollars; sums of two stay within 64 bits


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetWish:
    """A budget as somebody wants it. See ``gateway.budgets.budget.Budget``."""

    scope: Scope
    period: Period
    amount_nanousd: int
    hard: bool = True
    paced: bool = False
    alert_percents: tuple[int, ...] = (50, 80, 100)


class Treasury:
    """Who may spend how much."""

    def __init__(self, office: Office, budgets: BudgetStore, alerts: AlertStore) -> None:
        self._office, self._budgets, self._alerts = office, budgets, alerts

    async def set_budget(self, actor: Actor, wish: BudgetWish) -> Budget:
        """Make a budget or change it. Nobody sets one that binds themselves."""
        place = await self._office.place(actor, wish.scope)
        if not actor.limits(place):
            raise Forbidden(f"This credential may not set the budget of {wish.scope}.")
        _check(wish)
        budget = Budget(
            budget_id="",
            scope=wish.scope,
            period=wish.period,
            amount_nanousd=wish.amount_nanousd,
            hard=wish.hard,
            paced=wish.paced,
            alert_percents=tuple(sorted(set(wish.alert_percents))),
        )
        return await self._budgets.set(budget)

    async def remove_budget(self, actor: Actor, budget_id: str) -> None:
        """For who may set it."""
        budget = await self._budgets.get(budget_id)
        if budget.scope.level == "policy" and actor.place is None:
            await self._budgets.remove(budget_id)
            return
        try:
            place = await self._office.place(actor, budget.scope)
        except NotFound:
            raise NotFound(f"there is no budget {budget_id!r}", code="budget_not_found") from None
        if not actor.limits(place):
            raise Forbidden(f"This credential may not remove the budget of {budget.scope}.")
        await self._budgets.remove(budget_id)

    async def standings(self, actor: Actor) -> Sequence[Standing]:
        """How those stand that the actor sees."""
        return [found for found in await self._budgets.standings() if await self._sees(actor, found.budget.scope)]

    async def alerts(self, actor: Actor) -> Sequence[dict[str, Any]]:
        """The latest hundred, of budgets that the actor sees."""
        scopes = {found.budget.budget_id: found.budget.scope for found in await self.standings(actor)}
        told = await self._alerts.latest(100)
        return [alert | {"scope": str(scopes[alert["budget"]])} for alert in told if alert["budget"] in scopes]

    async def _sees(self, actor: Actor, scope: Scope) -> bool:
        if actor.place is None:
            return True
        try:
            await self._office.place(actor, scope)
        except NotFound:
            return False
        return True


def standing_told(standing: Standing) -> dict[str, Any]:
    """A budget and how it stands, as JSON."""
    budget = standing.budget
    return {
        "id": budget.budget_id,
        "level": budget.scope.level,
        "scope": budget.scope.id,
        "period": budget.period,
        "kind": "hard" if budget.hard else "soft",
        "limit_usd": usd(budget.amount_nanousd),
        "settled_usd": usd(standing.settled_nanousd),
        "reserved_usd": usd(standing.reserved_nanousd),
        "left_usd": usd(standing.left_nanousd),
        "unknown_calls": standing.unknown,
        "paced": budget.paced,
        "pressure": round(standing.pressure(int(datetime.now(UTC).timestamp() * 1_000_000)), 6),
        "alert_percents": list(budget.alert_percents),
        "resets": None if standing.ends_us is None else _iso(standing.ends_us),
    }


def _iso(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _check(wish: BudgetWish) -> None:
    if wish.period not in PERIODS:
        said = f"period must be one of {', '.join(PERIODS)}"
        raise InvalidRequest(said, param="period", code="invalid_parameter")
    if not 0 <= wish.amount_nanousd <= _MOST_NANOUSD:
        said = "limit_usd must be between 0 and 1000000000"
        raise InvalidRequest(said, param="limit_usd", code="invalid_parameter")
    if not all(1 <= percent <= 1000 for percent in wish.alert_percents) or len(wish.alert_percents) > 20:
        said = "alert_percents must be at most 20 whole numbers from 1 to 1000"
        raise InvalidRequest(said, param="alert_percents", code="invalid_parameter")
