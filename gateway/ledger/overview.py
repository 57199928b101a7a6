"""What a tenant spent in a period, what the reference model would have cost, and who answered: for the dashboard.

Knows the ledger's tables and reads them with few statements, each bounded by a period or a page. Knows no page.
Times are UTC; amounts are integer nano-USD, and None where a price is unknown.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row, Select, select

from gateway.database import Database
from gateway.ledger.rollups.reading import Condition, Key, Sums, coverage
from gateway.ledger.rollups.sources import BY_DAY
from gateway.ledger.rollups.tables import attempt_rollups, request_rollups
from gateway.ledger.tables import attempts, closings, requests, settlements

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
    compared : how many have both a cost and a reference cost, with the sums of the two over just these.
    """

    requests: int = 0
    spent_nanousd: int = 0
    compared: int = 0
    compared_nanousd: int = 0
    reference_nanousd: int = 0

    @property
    def saved_nanousd(self) -> int:
        """What the reference model would have cost more; negative where it would have cost less."""
        return self.reference_nanousd - self.compared_nanousd

    @property
    def saved_share(self) -> float | None:
        """The saving as a part of the reference cost; None where there is nothing to compare with."""
        return self.saved_nanousd / self.reference_nanousd if self.reference_nanousd else None


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
    calls: int
    spent_nanousd: int
    unpriced: int  # of the calls: settled without an amount, for the model has no price
    unmeasured: int  # of the calls: settled without an amount, for neither a usage nor a bound is known
    estimated: int  # of the calls: the usage is an estimate, for the provider told none
    prompt_tokens: int
    completion_tokens: int
    latency_s: float  # summed


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One call in a request's way through its tiers."""

    model: str
    state: str | None
    score: float | None
    threshold: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One request at a glance. ``spent_nanousd`` is None where a part of it is unknown."""

    decision_id: str
    created: datetime
    policy: str | None
    requested_model: str
    status: str | None
    stop_reason: str | None
    cache_status: str | None
    answered_model: str | None
    reference_nanousd: int | None
    spent_nanousd: int | None
    steps: tuple[Step, ...]


class Overview:
    """Reads one ledger. Every method raises DatabaseUnavailable, or DatabaseError where the schema is not there."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def costs(self, tenant_id: str, period: Period) -> tuple[tuple[RequestGroup, ...], tuple[AttemptGroup, ...]]:
        """A period's requests and calls in groups, from the rollups and what they do not hold yet."""
        mine: list[Condition] = [lambda source: source.c.tenant_id == tenant_id]
        async with self._database.read() as connection:
            covered = await coverage(connection, _microseconds(period.since), _microseconds(period.until))
            sums = Sums(connection, covered, sqlite=self._database.is_sqlite)
            slot = BY_DAY if period.slot % timedelta(days=1) == timedelta() else "hour_us"
            by_request = await sums.of(request_rollups, (slot, *_REQUEST_DIMENSIONS), _REQUEST_MEASURES, mine)
            by_attempt = await sums.of(attempt_rollups, _ATTEMPT_DIMENSIONS, _ATTEMPT_MEASURES, mine)
        return _request_groups(by_request, period), _attempt_groups(by_attempt)

    async def latest(self, tenant_id: str, *, limit: int, before: str | None = None) -> tuple[Decision, ...]:
        """The newest requests, newest first, those older than ``before`` only. Two statements, ``limit`` requests."""
        async with self._database.read() as connection:
            rows = (await connection.execute(_latest(tenant_id, limit, before))).all()
            calls = (await connection.execute(_calls([row.decision_id for row in rows]))).all() if rows else []
        by_decision: dict[str, list[Row[Any]]] = {}
        for call in calls:
            by_decision.setdefault(call.decision_id, []).append(call)
        return tuple(_decision(row, by_decision.get(row.decision_id, [])) for row in rows)


def total(tallies: Iterable[Tally]) -> Tally:
    """Their sum, field by field."""
    listed = list(tallies)
    return Tally(
        requests=sum(tally.requests for tally in listed),
        spent_nanousd=sum(tally.spent_nanousd for tally in listed),
        compared=sum(tally.compared for tally in listed),
        compared_nanousd=sum(tally.compared_nanousd for tally in listed),
        reference_nanousd=sum(tally.reference_nanousd for tally in listed),
    )


_REQUEST_DIMENSIONS = ("status", "cache_status", "reference_model", "reference_source")
_REQUEST_MEASURES = ("requests", "spent_nanousd", "compared", "compared_nanousd", "reference_nanousd")
_ATTEMPT_DIMENSIONS = ("policy", "stage", "model", "state")
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
            calls=int(values["attempts"]),
            spent_nanousd=int(values["spent_nanousd"]),
            latency_s=float(values["latency_s"]),
            **{name: int(values[name]) for name in _ATTEMPT_MEASURES[2:-1]},
        )
        for (policy, stage, model, state), values in in_order
    )


def _latest(tenant_id: str, limit: int, before: str | None) -> Select[Any]:
    query = (
        select(
            *(requests.c[name] for name in ("decision_id", "created_us", "policy", "requested_model")),
            *(closings.c[name] for name in ("status", "stop_reason", "cache_status", "answered_model")),
            closings.c.reference_nanousd,
        )
        .select_from(requests)
        .outerjoin(closings, closings.c.decision_id == requests.c.decision_id)
        .where(requests.c.tenant_id == tenant_id)
        .order_by(requests.c.decision_id.desc())
        .limit(limit)
    )
    return query if before is None else query.where(requests.c.decision_id < before)


def _calls(decision_ids: Sequence[str]) -> Select[Any]:
    return (
        select(
            attempts.c.decision_id,
            attempts.c.model,
            *(settlements.c[name] for name in ("state", "score", "threshold", "amount_nanousd")),
        )
        .select_from(attempts)
        .outerjoin(settlements, settlements.c.attempt_id == attempts.c.attempt_id)
        .where(attempts.c.decision_id.in_(decision_ids))
        .order_by(attempts.c.opened_us, attempts.c.attempt_id)
    )


def _microseconds(moment: datetime) -> int:
    return int(max(moment, _FIRST_MOMENT).timestamp()) * 1_000_000


def _moment(microseconds: int) -> datetime:
    return datetime.fromtimestamp(int(microseconds) / 1_000_000, UTC)


def _decision(row: Row[Any], calls: Sequence[Row[Any]]) -> Decision:
    amounts = [call.amount_nanousd for call in calls]
    return Decision(
        decision_id=row.decision_id,
        created=_moment(row.created_us),
        policy=row.policy,
        requested_model=row.requested_model,
        status=row.status,
        stop_reason=row.stop_reason,
        cache_status=row.cache_status,
        answered_model=row.answered_model,
        reference_nanousd=row.reference_nanousd,
        spent_nanousd=None if None in amounts else sum(amounts),
        steps=tuple(
            Step(model=call.model, state=call.state, score=call.score, threshold=call.threshold) for call in calls
        ),
    )
