"""What each page of the dashboard asks the ledger for. Knows which figures come from where; draws nothing."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from gateway.budgets.budget import Standing
from gateway.budgets.store import BudgetStore
from gateway.dashboard.breakdown_page import BREAKDOWNS, breakdown, choices
from gateway.dashboard.budgets_page import Burn, budgets, used
from gateway.dashboard.costs_page import costs_page
from gateway.dashboard.facts import Facts
from gateway.dashboard.filters import Filters
from gateway.dashboard.overview_page import configured_todos, overview, unreconciled_todos
from gateway.dashboard.panel import MOST_SHOWN, Content
from gateway.dashboard.performance_page import performance
from gateway.dashboard.pools_page import pools
from gateway.dashboard.quality_page import quality
from gateway.dashboard.strategy_page import at_slider, strategy
from gateway.dashboard.viewer import Viewer
from gateway.database import Database
from gateway.ledger.idle_sums import idle_nanousd
from gateway.ledger.newest import Seen, read_newest
from gateway.ledger.overview import Overview, Period
from gateway.ledger.reconcile.store import Reconciliations
from gateway.ledger.reports import TAG, Reports, Span
from gateway.ledger.reviews import Reviews, queue
from gateway.ledger.voids import read_voids
from gateway.routes.dashboard_trying import SHARES
from gateway.tenancy.naming import names_of, places_of
from gateway.tenancy.scope import TenantLevel

LATEST = 12  # decisions on the first page
LISTED = 25  # on the page of decisions
TO_REVIEW = 10
_LONGEST_TAG = 128


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
    """One page: where it is, what it is called, and how it is filled. operates : for whoever runs the gateway only."""

    path: str
    name: str
    heading: str
    load: Callable[[Asked], Awaitable[Content]]
    operates: bool = False


class Figures:
    """Fills pages. facts : what the configuration of the moment says."""

    def __init__(self, database: Database, facts: Callable[[], Facts]) -> None:
        self._database, self.facts = database, facts

    @property
    def pages(self) -> tuple[PageOf, ...]:
        """Every page, in the menu's order."""
        return (
            PageOf(path="/dashboard", name="Overview", heading="What answering cost", load=self.overview),
            PageOf(path="/dashboard/performance", name="Speed", heading="Speed and cache", load=self.performance),
            PageOf(
                path="/dashboard/breakdown", name="Breakdown", heading="Who spends, and on what", load=self.breakdown
            ),
            PageOf(path="/dashboard/strategy", name="Strategy", heading="Strategy", load=self.strategy),
            PageOf(path="/dashboard/quality", name="Quality", heading="Does quality hold?", load=self.quality),
            PageOf(path="/dashboard/budgets", name="Budgets", heading="Budgets", load=self.budgets),
            PageOf(path="/dashboard/pools", name="Pools", heading="Self-hosted pools", load=self.pools, operates=True),
            PageOf(path="/dashboard/decisions", name="Decisions", heading="Decisions", load=self.decisions),
            PageOf(path="/dashboard/review", name="Review", heading="Are these answers good?", load=self.review),
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

    async def performance(self, asked: Asked) -> Content:
        """Percentiles of latency, failures, the cache."""
        costs = await Overview(self._database).costs(asked.span, asked.period, asked.told)
        newest = await read_newest(self._database, asked.span, told=asked.told)
        page = costs_page(asked.period, costs.requests, costs.calls)
        return await asyncio.to_thread(performance, page, newest)

    async def breakdown(self, asked: Asked) -> Content:
        """Spend by whatever it can be told apart by."""
        by = asked.more.get("by", "key")
        by = by if by in BREAKDOWNS or (by.startswith(TAG) and by > TAG and len(by) < _LONGEST_TAG) else "key"
        if asked.span.tag is not None and by.startswith(TAG):
            by = TAG + asked.span.tag[0]
        rows = await Reports(self._database).spend(by, asked.span, asked.told)
        names: dict[str, str] = {}
        if by in ("org", "team", "key"):
            shown = rows if "csv" in asked.more else rows[:MOST_SHOWN]
            level: TenantLevel = by  # type: ignore[assignment] # one of the three
            names = await names_of(self._database, level, [row.heading for row in shown if row.heading is not None])
        content = await asyncio.to_thread(breakdown, by, rows, names, asked.filters)
        return replace(content, choices=choices(by), kept={"by": by})

    async def budgets(self, asked: Asked) -> Content:
        """How budgets stand, and how one of them burns down."""
        viewer, now_us = asked.viewer, int(asked.now.timestamp() * 1_000_000)
        standings = await BudgetStore(self._database).standings(now_us=now_us)
        places = await places_of(self._database, [one.budget.scope for one in standings])
        actor = viewer.actor
        seen = [
            one
            for one in standings
            if (actor.place is None and one.budget.scope.level == "policy")
            or (one.budget.scope in places and actor.sees(places[one.budget.scope].place))
        ]
        names = {scope.id: place.name for scope, place in places.items()}
        wanted = asked.more.get("budget")
        chosen = next((one for one in seen if one.budget.budget_id == wanted), max(seen, key=used, default=None))
        burn = None if chosen is None else await self._burn(chosen, asked)
        content = await asyncio.to_thread(budgets, seen, chosen, burn, names, asked.now)
        return replace(content, kept={} if wanted is None or chosen is None else {"budget": chosen.budget.budget_id})

    async def _burn(self, chosen: Standing, asked: Asked) -> Burn | None:
        scope, now = chosen.budget.scope, asked.now
        begins = datetime.fromtimestamp(chosen.starts_us / 1_000_000, UTC)
        daily = chosen.budget.period == "daily"
        if chosen.ends_us is None:  # it never began anew: the last quarter is shown
            begins = (now - timedelta(days=90)).replace(hour=0, minute=0, second=0, microsecond=0)
        span = Span(
            since=begins,
            until=now,
            tenant_id=scope.id if scope.level == "org" else None,
            team_id=scope.id if scope.level == "team" else None,
            key_id=scope.id if scope.level == "key" else None,
            policy=scope.id if scope.level == "policy" else None,
            kind="shadow" if scope.level == "policy" else None,
        )
        rows = await Reports(self._database).spend("hour" if daily else "day", span, asked.told)
        spent = {row.heading: row.known_nanousd for row in rows}
        slot, form = (timedelta(hours=1), "%Y-%m-%dT%H:00Z") if daily else (timedelta(days=1), "%Y-%m-%d")
        starts = [begins + n * slot for n in range(int((now - begins) / slot) + 1)]
        return Burn(starts=tuple(starts), spent_nanousd=tuple(spent.get(f"{start:{form}}", 0) for start in starts))

    async def strategy(self, asked: Asked) -> Content:
        """A policy's strategy, and what another threshold would have come to."""
        policies = self.facts().policies
        named = [policy for policy in policies if policy.name == asked.filters.policy]
        chains = [policy for policy in policies if policy.strategy is not None and len(policy.strategy.stages) > 1]
        policy = next(iter([*named, *chains, *policies]), None)
        newest: tuple[Seen, ...] = ()
        if policy is not None:
            newest = await read_newest(self._database, replace(asked.span, policy=policy.name), told=asked.told)
        plan = policy is not None and policy.strategy is not None and policy.strategy.plan is not None
        name, most = ("exchange", 1000.0) if plan else ("threshold", 1.0)
        chosen = _number(asked.more.get(name), most)
        content, what_if = await asyncio.to_thread(strategy, policy, newest, chosen)
        kept = {} if chosen is None else {name: f"{chosen:g}"}
        file = None
        if "file" in asked.more and what_if is not None and policy is not None and policy.strategy is not None:
            made = at_slider(policy.strategy, what_if.chosen)
            file = (f"{policy.name}-{made.id}.json", json.dumps(made.to_document(), indent=2) + "\n")
        if what_if is not None and policy is not None:
            what_if = replace(
                what_if,
                policy=policy.name,
                shares=SHARES,
                canary=None if policy.canary is None else policy.canary.id,
                canary_share=policy.canary_share,
                canary_written=policy.canary_written,
            )
        return replace(content, what_if=what_if, file=file, kept=kept)

    async def quality(self, asked: Asked) -> Content:
        """Labels, calibration, drift, certificates."""
        newest = await read_newest(self._database, asked.span, told=asked.told)
        labelled = await Reviews(self._database).labelled(asked.span, asked.told)
        voids = await read_voids(self._database, asked.span, asked.told)
        return await asyncio.to_thread(quality, self.facts(), newest, labelled, voids)

    async def review(self, asked: Asked) -> Content:
        """Answers that this reviewer has said nothing of, drawn by chance."""
        newest = await read_newest(self._database, asked.span, told=asked.told)
        drawn = queue(newest, TO_REVIEW * 20)
        done = await Reviews(self._database).by(asked.viewer.key_id, [one.decision_id for one in drawn])
        waiting = tuple(one for one in drawn if one.decision_id not in done)
        return Content(reviews=waiting[:TO_REVIEW], reviewed=len(done))

    async def pools(self, asked: Asked) -> Content:
        """Self-hosted capacity."""
        span = Span(since=asked.period.since, until=asked.period.until)
        rows = await Reports(self._database).spend("provider", span, asked.told)
        idle = await idle_nanousd(self._database, asked.period.since, asked.period.until, asked.told)
        return await asyncio.to_thread(pools, self.facts(), rows, idle)

    async def decisions(self, asked: Asked) -> Content:
        """Requests, newest first, as many as fit on a page."""
        before = asked.more.get("before")
        found = await read_newest(self._database, asked.span, limit=LISTED + 1, before=before or None, told=asked.told)
        shown, more = found[:LISTED], found[LISTED:]
        return Content(decisions=shown, older=shown[-1].decision_id if more else None, is_paged=before is not None)


def _number(given: str | None, most: float) -> float | None:
    try:
        asked = float(given or "")
    except ValueError:
        return None
    return asked if 0 <= asked <= most else None
