"""A period's groups of requests and calls, turned into the figures of slots, tiers and models that a page shows.

Knows which figures belong together and in which words they are honest. Knows no SQL, no HTML and no HTTP.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.ledger.overview import AttemptGroup, Period, RequestGroup, Tally, total


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One hour or day. hits, looked_up : of the cache."""

    start: datetime
    label: str
    tally: Tally
    hits: int = 0
    looked_up: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """One model at one place of a policy, with how its calls ended."""

    policy: str
    number: int  # 1-based
    model: str
    calls: int
    accepted: int
    rejected: int
    failed: int
    cancelled: int
    spent_nanousd: int

    @property
    def acceptance(self) -> float | None:
        """The accepted part of the calls that came to an end by themselves."""
        ended = self.accepted + self.rejected + self.failed
        return self.accepted / ended if ended else None

    def part(self, ended: int) -> float:
        """A count of calls as a percentage of all of the tier's."""
        return round(100 * ended / self.calls, 2) if self.calls else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpend:
    """One model over all policies."""

    model: str
    calls: int
    prompt_tokens: int
    completion_tokens: int
    spent_nanousd: int
    unpriced: int
    unmeasured: int
    latency_s: float | None  # mean
    share: float | None  # of the spend that is known

    @property
    def unknown(self) -> int:
        """Calls without an amount."""
        return self.unpriced + self.unmeasured


@dataclass(frozen=True, slots=True, kw_only=True)
class CostsPage:
    """Everything that the page says of a period."""

    total: Tally
    cached: Tally
    reference_models: tuple[str, ...]
    statuses: dict[str, int]
    hits: int
    looked_up: int
    slots: tuple[Slot, ...]
    tiers: tuple[Tier, ...]
    models: tuple[ModelSpend, ...]
    in_flight: int

    @property
    def hit_share(self) -> float | None:
        """Cache hits among the look-ups."""
        return self.hits / self.looked_up if self.looked_up else None

    @property
    def unpriced(self) -> tuple[ModelSpend, ...]:
        """Models with calls that nobody knows the price of."""
        return tuple(model for model in self.models if model.unpriced)

    @property
    def unmeasured(self) -> tuple[ModelSpend, ...]:
        """Models with priced calls of which neither a usage nor a bound is known."""
        return tuple(model for model in self.models if model.unmeasured)


def costs_page(period: Period, groups: Sequence[RequestGroup], calls: Sequence[AttemptGroup]) -> CostsPage:
    """The page of a period."""
    slots = tuple(_slots(period, groups))
    statuses: dict[str, int] = {}
    for group in groups:
        status = group.status or "under way"
        statuses[status] = statuses.get(status, 0) + group.tally.requests
    return CostsPage(
        total=total(group.tally for group in groups),
        cached=total(group.tally for group in groups if group.status == "cached"),
        reference_models=tuple(sorted({g.reference_model for g in groups if g.reference_model and g.tally.compared})),
        statuses=statuses,
        hits=_cache(groups, "HIT"),
        looked_up=_cache(groups, "HIT", "MISS"),
        slots=slots,
        tiers=tuple(_tiers(calls)),
        models=tuple(_models(calls)),
        in_flight=sum(call.calls for call in calls if call.state is None),
    )


def _cache(groups: Iterable[RequestGroup], *statuses: str) -> int:
    return sum(group.tally.requests for group in groups if group.cache_status in statuses)


def _slots(period: Period, groups: Iterable[RequestGroup]) -> Iterable[Slot]:
    by_start: dict[datetime, list[RequestGroup]] = {}
    for group in groups:
        by_start.setdefault(group.slot, []).append(group)
    form = "%a %d %b %H:00" if period.slot < timedelta(days=1) else "%a %d %b"
    for start in period.starts:
        mine = by_start.get(start, [])
        yield Slot(
            start=start,
            label=f"{start:{form}}",
            tally=total(group.tally for group in mine),
            hits=_cache(mine, "HIT"),
            looked_up=_cache(mine, "HIT", "MISS"),
        )


def _tiers(calls: Iterable[AttemptGroup]) -> Iterable[Tier]:
    by_place: dict[tuple[str, int, str], list[AttemptGroup]] = {}
    for call in calls:
        if call.policy is not None and call.kind == "answer":
            by_place.setdefault((call.policy, call.stage, call.model), []).append(call)
    for (policy, stage, model), group in sorted(by_place.items()):
        ended = {state: sum(call.calls for call in group if call.state == state) for state in {g.state for g in group}}
        yield Tier(
            policy=policy,
            number=stage + 1,
            model=model,
            calls=sum(call.calls for call in group),
            accepted=ended.get("accepted", 0),
            rejected=ended.get("rejected", 0),
            failed=ended.get("failed", 0),
            cancelled=ended.get("cancelled", 0),
            spent_nanousd=sum(call.spent_nanousd for call in group),
        )


def _models(calls: Sequence[AttemptGroup]) -> list[ModelSpend]:
    spent = sum(call.spent_nanousd for call in calls)
    by_model: dict[str, list[AttemptGroup]] = {}
    for call in calls:
        by_model.setdefault(call.model, []).append(call)
    rows = []
    for model, group in by_model.items():
        settled = sum(call.calls for call in group if call.state is not None)
        mine = sum(call.spent_nanousd for call in group)
        rows.append(
            ModelSpend(
                model=model,
                calls=sum(call.calls for call in group),
                prompt_tokens=sum(call.prompt_tokens for call in group),
                completion_tokens=sum(call.completion_tokens for call in group),
                spent_nanousd=mine,
                unpriced=sum(call.unpriced for call in group),
                unmeasured=sum(call.unmeasured for call in group),
                latency_s=sum(call.latency_s for call in group) / settled if settled else None,
                share=mine / spent if spent else None,
            )
        )
    return sorted(rows, key=lambda row: (-row.spent_nanousd, row.model))
