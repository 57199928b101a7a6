"""/admin/budgets: what may be spent and how that stands, over HTTP. Knows bodies; the rest is the treasury's."""

from typing import Any

from fastapi import APIRouter, Request, Response

from gateway.admin.treasury import BudgetWish, Treasury, standing_told
from gateway.budgets.windows import Period
from gateway.routes.admin import AdminAuth, Body, Usd
from gateway.tenancy.scope import Scope, TenantLevel


class NewBudget(Body):
    """PUT /admin/budgets"""

    level: TenantLevel
    scope: str
    limit_usd: Usd
    period: Period = "monthly"
    hard: bool = True
    paced: bool = False
    alert_percents: tuple[int, ...] = (50, 80, 100)


def budgets_router(auth: AdminAuth, treasury: Treasury) -> APIRouter:
    """Budgets and their alerts."""
    router = APIRouter(prefix="/admin", tags=["admin"])

    @router.get("/budgets")
    async def budgets(request: Request) -> dict[str, Any]:
        """How each budget stands in the window of the moment."""
        found = await treasury.standings(await auth.actor(request))
        return {"data": [standing_told(standing) for standing in found]}

    @router.put("/budgets")
    async def set_budget(request: Request, body: NewBudget) -> dict[str, Any]:
        """Set a budget, or change the one of this scope, period and kind. It holds from the next call on."""
        wish = BudgetWish(
            scope=Scope(level=body.level, id=body.scope),
            period=body.period,
            amount_nanousd=body.limit_usd,
            hard=body.hard,
            paced=body.paced,
            alert_percents=body.alert_percents,
        )
        return {"id": (await treasury.set_budget(await auth.actor(request), wish)).budget_id}

    @router.delete("/budgets/{budget_id}", status_code=204)
    async def remove_budget(request: Request, budget_id: str) -> Response:
        """Let a budget bind nobody any more; its windows stay on record."""
        await treasury.remove_budget(await auth.actor(request), budget_id)
        return Response(status_code=204)

    @router.get("/alerts")
    async def alerts(request: Request) -> dict[str, Any]:
        """The thresholds that were reached, newest first, and whether anybody was told."""
        return {"data": list(await treasury.alerts(await auth.actor(request)))}

    return router
