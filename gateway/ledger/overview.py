"""What a tenant spent in a period, what the reference model would have cost, and who answered: for the dashboard.

Knows the ledger's tables and reads them with few statements, each bounded by a period or a page. Knows no page.
Times are UTC; amounts are integer nano-USD, and None where a price is unknown.
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, Subquery, and_, case, func, select

from gateway.database import Database
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
        """A period's requests and calls in groups, from one state of the ledger. Two statements."""
        async with self._database.read() as connection:
            by_request = (await connection.execute(_request_groups(tenant_id, period))).all()
            by_attempt = (await connection.execute(_attempt_groups(tenant_id, period))).all()
        return tuple(_request_group(row) for row in by_request), tuple(_attempt_group(row) for row in by_attempt)

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


def _in_period(tenant_id: str, period: Period) -> ColumnElement[bool]:
    # decision ids begin with their time, so that the index on (tenant, decision) finds a tenant's period
    return and_(
        requests.c.tenant_id == tenant_id,
        requests.c.decision_id >= _earliest_id(period.since),
        requests.c.decision_id < _earliest_id(period.until),
    )


def _earliest_id(moment: datetime) -> str:
    milliseconds = int(max(moment, _FIRST_MOMENT).timestamp() * 1000)
    return f"dec_{uuid.UUID(int=milliseconds << 80).hex}"


_settled = settlements.c.attempt_id.is_not(None)
_unknown = and_(_settled, settlements.c.amount_nanousd.is_(None))


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def _each_request(tenant_id: str, period: Period) -> Subquery:
    """One row a request, with what its calls cost and how many of them have no known cost (yet)."""
    return (
        select(
            requests.c.decision_id,
            func.min(requests.c.created_us).label("created_us"),
            func.min(requests.c.reference_model).label("reference_model"),
            func.min(closings.c.status).label("status"),
            func.min(closings.c.cache_status).label("cache_status"),
            func.min(closings.c.reference_nanousd).label("reference_nanousd"),
            func.min(closings.c.reference_source).label("reference_source"),
            func.coalesce(func.sum(settlements.c.amount_nanousd), 0).label("spent"),
            (func.count(attempts.c.attempt_id) - func.count(settlements.c.amount_nanousd)).label("unknown"),
        )
        .select_from(requests)
        .outerjoin(closings, closings.c.decision_id == requests.c.decision_id)
        .outerjoin(attempts, attempts.c.decision_id == requests.c.decision_id)
        .outerjoin(settlements, settlements.c.attempt_id == attempts.c.attempt_id)
        .where(_in_period(tenant_id, period))
        .group_by(requests.c.decision_id)
        .subquery("each_request")
    )


def _request_groups(tenant_id: str, period: Period) -> Select[Any]:
    each = _each_request(tenant_id, period)
    slot_us = int(period.slot / timedelta(microseconds=1))
    slot = (each.c.created_us - each.c.created_us % slot_us).label("slot_us")
    both_known = and_(each.c.unknown == 0, each.c.reference_nanousd.is_not(None))
    common = (slot, each.c.status, each.c.cache_status, each.c.reference_model, each.c.reference_source)
    return select(
        *common,
        func.count().label("requests"),
        func.sum(each.c.spent).label("spent"),
        _count(both_known).label("compared"),
        func.coalesce(func.sum(case((both_known, each.c.spent))), 0).label("compared_spent"),
        func.coalesce(func.sum(case((both_known, each.c.reference_nanousd))), 0).label("reference"),
    ).group_by(*common)


def _attempt_groups(tenant_id: str, period: Period) -> Select[Any]:
    common = (requests.c.policy, attempts.c.stage, attempts.c.model, settlements.c.state)
    return (
        select(
            *common,
            func.count().label("calls"),
            func.coalesce(func.sum(settlements.c.amount_nanousd), 0).label("spent"),
            _count(and_(_unknown, attempts.c.price_version.is_(None))).label("unpriced"),
            _count(and_(_unknown, attempts.c.price_version.is_not(None))).label("unmeasured"),
            _count(settlements.c.usage_source == "estimated").label("estimated"),
            func.coalesce(func.sum(settlements.c.prompt_tokens), 0).label("prompt_tokens"),
            func.coalesce(func.sum(settlements.c.completion_tokens), 0).label("completion_tokens"),
            func.coalesce(func.sum(settlements.c.latency_s), 0.0).label("latency_s"),
        )
        .select_from(requests)
        .join(attempts, attempts.c.decision_id == requests.c.decision_id)
        .outerjoin(settlements, settlements.c.attempt_id == attempts.c.attempt_id)
        .where(_in_period(tenant_id, period))
        .group_by(*common)
        .order_by(requests.c.policy, attempts.c.stage, attempts.c.model)
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


def _moment(microseconds: int) -> datetime:
    return datetime.fromtimestamp(int(microseconds) / 1_000_000, UTC)


def _request_group(row: Row[Any]) -> RequestGroup:
    tally = Tally(
        requests=row.requests,
        spent_nanousd=int(row.spent),  # PostgreSQL adds BIGINTs up to a NUMERIC
        compared=int(row.compared),
        compared_nanousd=int(row.compared_spent),
        reference_nanousd=int(row.reference),
    )
    return RequestGroup(
        slot=_moment(row.slot_us),
        status=row.status,
        cache_status=row.cache_status,
        reference_model=row.reference_model,
        reference_source=row.reference_source,
        tally=tally,
    )


def _attempt_group(row: Row[Any]) -> AttemptGroup:
    return AttemptGroup(
        policy=row.policy,
        stage=row.stage,
        model=row.model,
        state=row.state,
        calls=row.calls,
        spent_nanousd=int(row.spent),
        unpriced=int(row.unpriced),
        unmeasured=int(row.unmeasured),
        estimated=int(row.estimated),
        prompt_tokens=int(row.prompt_tokens),
        completion_tokens=int(row.completion_tokens),
        latency_s=float(row.latency_s),
    )


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
