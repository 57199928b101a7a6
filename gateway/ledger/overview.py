"""What a tenant spent in a period, what the reference model would have cost, and who answered: for the dashboard.

Knows the ledger's tables and reads them with few statements, each bounded by a period or a page. Knows no page.
Times are UTC; amounts are integer nano-USD, and None where a price is unknown.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gateway.database import Database
from gateway.ledger.reports import Span
from gateway.ledger.rollups.reading import Key, Sums, coverage
from gateway.ledger.rollups.sources import BY_DAY
from gateway.ledger.rollups.tables import REQUEST_MEASURES, REQUEST_SQUARES, attempt_rollups, request_rollups
from gateway.ledger.savings import Savings, savings_of

_FIRST_MOMENT = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A half-open stretch of time, cut into ``slots`` of equal length."""

    since: datetime
    until: datetime
    slot: timedelta

    @classmethod
    def days(cls, count: int, now: datetime) -> "Period":
        """The last ``count`` days of UTC, today included; a single one is the last 24 hours, hour by hour."""
        if count == 1:
            until = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
            return cls(since=until - timedelta(days=1), until=until, slot=timedelta(hours=1))
        until = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        return cls(since=until - timedelta(days=count), until=until, slot=timedelta(days=1))

    @property
    def starts(self) -> tuple[datetime, ...]:
        """Where each slot begins."""
        return tuple(self.since + n * self.slot for n in range(int((self.until - self.since) / self.slot)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Requests of one kind, added up.

    spent_nanousd : all that is known to have been spent.
    bought_nanousd : what the answers of the cache had cost when they were bought.
    compared : how many have both a cost and a reference cost, with the sums of the two over just these.
    """

    requests: int = 0
    spent_nanousd: int = 0
    bought_nanousd: int = 0
    compared: int = 0
    compared_nanousd: int = 0
    reference_nanousd: int = 0

    @property
    def saved_nanousd(self) -> int:
        """What the reference model would have cost more; negative where it would have cost less."""
        return self.reference_nanousd - self.compared_nanousd


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestGroup:
    """A tally, and what its requests have in common. ``status`` is None while a request is under way."""

    slot: datetime
    status: str | None
    cache_status: str | None
    reference_model: str | None
    reference_source: str | None
    tally: Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptGroup:
    """Calls to one model at one place of one policy that ended alike. ``state`` is None while they are under way."""

    policy: str | None
    stage: int
    model: str
    state: str | None
    kind: str
    calls: int
    spent_nanousd: int
    unpriced: int  # of the calls: settled without an amount, for the model has no price
    unmeasured: int  # of the calls: settled without an amount, for neither a usage nor a bound is known
    estimated: int  # of the calls: the usage is an estimate, for the provider told none
    prompt_tokens: int
    completion_tokens: int
    latency_s: float  # summed


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """A period's requests and calls in groups, and what was saved, all of the same sums."""

    requests: tuple[RequestGroup, ...]
    calls: tuple[AttemptGroup, ...]
    savings: Savings


class Overview:
    """Reads one ledger. Every method raises DatabaseUnavailable, or DatabaseError where the schema is not there."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def costs(self, span: Span, period: Period, told: list[str] | None = None) -> Costs:
        """What is meant of a period, from the rollups and what they do not hold yet: two statements.

        With a model, calls are those to it, and requests those that it answered.
        """
        calls = [*span.attempt_conditions(), *span.tag_conditions()]
        asked = [*span.conditions(), *span.tag_conditions()]
        if span.model is not None:
            asked.append(lambda source: source.c.answered_model == span.model)
        tag = None if span.tag is None else span.tag[0]
        async with self._database.read() as connection:
            covered = await coverage(connection, _microseconds(period.since), _microseconds(period.until))
            sums = Sums(connection, covered, sqlite=self._database.is_sqlite, told=told)
            slot = BY_DAY if period.slot % timedelta(days=1) == timedelta() else "hour_us"
            by_request = await sums.of(request_rollups, (slot, *_REQUEST_DIMENSIONS), _REQUEST_MEASURES, asked, tag)
            by_attempt = await sums.of(attempt_rollups, _ATTEMPT_DIMENSIONS, _ATTEMPT_MEASURES, calls, tag)
        saved = savings_of(((key[1], key[4], key[3]), values) for key, values in by_request.items())
        return Costs(requests=_request_groups(by_request, period), calls=_attempt_groups(by_attempt), savings=saved)


def total(tallies: Iterable[Tally]) -> Tally:
    """Their sum, field by field."""
    listed = list(tallies)
    return Tally(
        requests=sum(tally.requests for tally in listed),
        spent_nanousd=sum(tally.spent_nanousd for tally in listed),
        bought_nanousd=sum(tally.bought_nanousd for tally in listed),
        compared=sum(tally.compared for tally in listed),
        compared_nanousd=sum(tally.compared_nanousd for tally in listed),
        reference_nanousd=sum(tally.reference_nanousd for tally in listed),
    )


_REQUEST_DIMENSIONS = ("status", "cache_status", "reference_model", "reference_source")
_REQUEST_MEASURES = (*REQUEST_MEASURES, *REQUEST_SQUARES)
_ATTEMPT_DIMENSIONS = ("policy", "stage", "model", "state", "kind")
_ATTEMPT_MEASURES = (
    *("attempts", "spent_nanousd", "unpriced", "unmeasured", "estimated", "prompt_tokens", "completion_tokens"),
    "latency_s",
)


def _request_groups(sums: Mapping[Key, Mapping[str, int | float]], period: Period) -> tuple[RequestGroup, ...]:
    slot_us = int(period.slot / timedelta(microseconds=1))
    found: dict[Key, Tally] = {}
    for (hour_us, *common), values in sums.items():
        tally = Tally(
            requests=int(values["requests"]),
            spent_nanousd=int(values["spent_nanousd"]),
            bought_nanousd=int(values["saved_nanousd"]),
            compared=int(values["compared"]),
            compared_nanousd=int(values["compared_nanousd"]),
            reference_nanousd=int(values["reference_nanousd"]),
        )
        slot = (hour_us - hour_us % slot_us, *common)
        found[slot] = total([found.get(slot, Tally()), tally])
    return tuple(
        RequestGroup(
            slot=_moment(slot_us),
            status=status,
            cache_status=cache_status,
            reference_model=reference_model,
            reference_source=reference_source,
            tally=tally,
        )
        for (slot_us, status, cache_status, reference_model, reference_source), tally in found.items()
    )


def _attempt_groups(sums: Mapping[Key, Mapping[str, int | float]]) -> tuple[AttemptGroup, ...]:
    in_order = sorted(sums.items(), key=lambda item: (item[0][0] or "", *item[0][1:3]))
    return tuple(
        AttemptGroup(
            policy=policy,
            stage=stage,
            model=model,
            state=state,
            kind=kind,
            calls=int(values["attempts"]),
            spent_nanousd=int(values["spent_nanousd"]),
            latency_s=float(values["latency_s"]),
            **{name: int(values[name]) for name in _ATTEMPT_MEASURES[2:-1]},
        )
        for (policy, stage, model, state, kind), values in in_order
    )


def _microseconds(moment: datetime) -> int:
    return int(max(moment, _FIRST_MOMENT).timestamp()) * 1_000_000


def _moment(microseconds: int) -> datetime:
    return datetime.fromtimestamp(int(microseconds) / 1_000_000, UTC)
