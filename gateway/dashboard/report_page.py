"""The cost report of a period: the first page's figures, and who spent how much. Knows no HTML and no command line."""

from dataclasses import replace
from datetime import datetime

from gateway.dashboard.breakdown_page import breakdown
from gateway.dashboard.costs_page import costs_page
from gateway.dashboard.filters import Filters
from gateway.dashboard.overview_page import overview, unreconciled_todos
from gateway.dashboard.panel import Content, Panel
from gateway.database import Database
from gateway.ledger.newest import read_newest
from gateway.ledger.overview import Overview
from gateway.ledger.reconcile.store import Reconciliations
from gateway.ledger.reports import Reports
from gateway.tenancy.naming import names_of
from gateway.tenancy.scope import TenantLevel

_BY: tuple[tuple[str, TenantLevel | None], ...] = (("team", "team"), ("key", "key"), ("provider", None))


async def read_report(database: Database, filters: Filters, now: datetime) -> Content:
    """Of the period that the filters name.

    Raises DatabaseUnavailable, or DatabaseError where the schema is not there.
    """
    span, period = filters.span(now), filters.period(now)
    costs = await Overview(database).costs(span, period)
    newest = await read_newest(database, span)
    found = () if filters.org is not None else await Reconciliations(database).unreconciled()
    inside = [one for one in found if period.since.date() <= one.variance.day < period.until.date()]
    page = costs_page(period, costs.requests, costs.calls)
    content = overview(page, costs, newest, period, unreconciled_todos(inside))
    panels: list[Panel] = list(content.panels)
    for by, level in _BY:
        rows = await Reports(database).spend(by, span)
        ids = [row.heading for row in rows if row.heading is not None]
        names = {} if level is None else await names_of(database, level, ids)
        shown = breakdown(by, rows, names, filters).panels
        panels += (replace(panel, id=by, table=replace(panel.table, links=())) for panel in shown)
    return replace(content, panels=tuple(panels))
