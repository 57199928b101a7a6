"""What each page of the dashboard asks the ledger for. Knows which figures come from where; draws nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from gateway.dashboard.costs_page import costs_page
from gateway.dashboard.facts import Facts
from gateway.dashboard.filters import Filters
from gateway.dashboard.overview_page import configured_todos, overview, unreconciled_todos
from gateway.dashboard.panel import Content
from gateway.dashboard.viewer import Viewer
from gateway.database import Database
from gateway.ledger.newest import read_newest
from gateway.ledger.overview import Overview, Period
from gateway.ledger.reconcile.store import Reconciliations
from gateway.ledger.reports import Span

LATEST = 12  # decisions on the first page
LISTED = 25  # on the page of decisions


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a page is asked. filters : what the viewer may choose.   told : where statements are written down."""

    viewer: Viewer
    filters: Filters
    now: datetime
    more: Mapping[str, str]
    told: list[str] | None = None

    @property
    def period(self) -> Period:
        """The stretch of time."""
        return self.filters.period(self.now)

    @property
    def span(self) -> Span:
        """Whose spending, in which time."""
        return self.viewer.narrowed(self.filters).span(self.now)


@dataclass(frozen=True, slots=True, kw_only=True)
class PageOf:
    """One page: where it is, what it is called, and how it is filled."""

    path: str
    name: str
    heading: str
    load: Callable[[Asked], Awaitable[Content]]


class Figures:
    """Fills pages. facts : what the configuration of the moment says."""

    def __init__(self, database: Database, facts: Callable[[], Facts]) -> None:
        self._database, self.facts = database, facts

    @property
    def pages(self) -> tuple[PageOf, ...]:
        """Every page, in the menu's order."""
        return (
            PageOf(path="/dashboard", name="Overview", heading="What answering cost", load=self.overview),
            PageOf(path="/dashboard/decisions", name="Decisions", heading="Decisions", load=self.decisions),
        )

    async def overview(self, asked: Asked) -> Content:
        """Spend, savings, acceptance, and what is to be done."""
        costs = await Overview(self._database).costs(asked.span, asked.period, asked.told)
        newest = await read_newest(self._database, asked.span, told=asked.told)
        todos = configured_todos(self.facts())
        if asked.viewer.place is None:
            found = await Reconciliations(self._database).unreconciled()
            todos = (*todos, *unreconciled_todos(found))
        page = costs_page(asked.period, costs.requests, costs.calls)
        content = await asyncio.to_thread(overview, page, costs, newest, asked.period, todos)
        return replace(content, decisions=newest[:LATEST], is_first=not page.total.requests)

    async def decisions(self, asked: Asked) -> Content:
        """Requests, newest first, as many as fit on a page."""
        before = asked.more.get("before")
        found = await read_newest(self._database, asked.span, limit=LISTED + 1, before=before or None, told=asked.told)
        shown, more = found[:LISTED], found[LISTED:]
        return Content(decisions=shown, older=shown[-1].decision_id if more else None, is_paged=before is not None)
