"""The newest requests of a stretch of time with all their calls, one by one: what sums cannot tell.

Latencies, scores and reasons are read of so many requests at most, however many there are: a page never reads a month.
Knows the ledger's raw tables and reads them with one statement. Knows no page.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import Row, Select, Subquery, and_, select

from gateway.database import Database
from gateway.ledger.reports import Span
from gateway.ledger.rollups.sources import uncompiled
from gateway.ledger.rollups.statements import told_as
from gateway.ledger.tables import attempts, closings, requests, settlements

AMONG = 2000
"""Requests that are looked at. Filters other than by organisation and time choose among these."""

_SLACK_MS = 600_000  # an identifier is made before its row, by a clock that may have been set since
_OF_REQUEST = (
    "decision_id",
    "created_us",
    "tenant_id",
    "team_id",
    "key_id",
    "policy",
    "requested_model",
    "strategy_id",
    "tags",
)
_OF_CLOSING = (
    "status",
    "stop_reason",
    "abstention",
    "cache_status",
    "answered_attempt",
    "answered_model",
    "reference_nanousd",
)
_OF_ATTEMPT = ("attempt_id", "kind", "cause", "stage", "model")
_OF_SETTLEMENT = ("state", "score", "threshold", "latency_s", "first_token_s", "amount_nanousd", "error_kind")
_NAMED, _CALLED = (*_OF_REQUEST, *_OF_CLOSING), (*_OF_ATTEMPT, *_OF_SETTLEMENT)  # as the statement has them


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenCall:
    """One call. Everything from ``state`` on is None while it is under way."""

    attempt_id: str
    kind: str
    cause: str
    stage: int
    model: str
    state: str | None
    score: float | None
    threshold: float | None
    latency_s: float | None
    first_token_s: float | None
    amount_nanousd: int | None
    error_kind: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One request at a glance. Everything from ``status`` to ``reference_nanousd`` is None while it is under way."""

    decision_id: str
    created: datetime
    tenant_id: str
    team_id: str | None
    key_id: str | None
    policy: str | None
    requested_model: str
    strategy_id: str | None
    status: str | None
    stop_reason: str | None
    abstention: str | None
    cache_status: str | None
    answered_attempt: str | None
    answered_model: str | None
    reference_nanousd: int | None
    steps: tuple[SeenCall, ...]

    @property
    def spent_nanousd(self) -> int | None:
        """Everything together; None where a part of it is unknown."""
        amounts = [call.amount_nanousd for call in self.steps]
        return None if None in amounts else sum(amount for amount in amounts if amount is not None)

    @property
    def answers(self) -> tuple[SeenCall, ...]:
        """The calls that were made for an answer, in order: not those that judged one, or compared."""
        return tuple(call for call in self.steps if call.kind == "answer")


async def read_newest(
    database: Database,
    span: Span,
    *,
    among: int = AMONG,
    limit: int | None = None,
    before: str | None = None,
    told: list[str] | None = None,
) -> tuple[Seen, ...]:
    """Newest first: of the newest ``among`` of an organisation and a time, those that are meant, ``limit`` at most.

    before : only requests older than this one.   told : where the statement is written down.
    Raises DatabaseUnavailable, or DatabaseError where the schema is not there.
    """
    query = _query(span, among, limit if span.tag is None else None, before)
    async with database.read() as connection:
        await uncompiled(connection)
        told_as(told, connection, query)
        rows = (await connection.execute(query)).all()
    found: dict[str, list[Row[Any]]] = {}
    for row in rows:
        found.setdefault(row.decision_id, []).append(row)
    wanted = [listed for listed in found.values() if span.tag is None or _has(listed[0].tags, span.tag)]
    seen = (_seen(listed) for listed in (wanted if limit is None else wanted[:limit]))
    return tuple(one for one in seen if span.model in (None, one.answered_model))


def _query(span: Span, among: int, limit: int | None, before: str | None) -> Select[Any]:
    chosen = _chosen(span, among, before)
    wanted = select(chosen).order_by(chosen.c.decision_id.desc())
    for name in ("team_id", "key_id", "policy"):
        if getattr(span, name) is not None:
            wanted = wanted.where(chosen.c[name] == getattr(span, name))
    asked = wanted.limit(among if limit is None else limit).subquery("asked")
    settled = and_(settlements.c.attempt_id == attempts.c.attempt_id, settlements.c.month == attempts.c.month)
    ended = and_(closings.c.decision_id == asked.c.decision_id, closings.c.month == asked.c.month)
    return (
        select(
            *(asked.c[name] for name in _OF_REQUEST),
            *(closings.c[name] for name in _OF_CLOSING),
            *(attempts.c[name] for name in _OF_ATTEMPT),
            *(settlements.c[name] for name in _OF_SETTLEMENT),
        )
        .select_from(asked)
        .outerjoin(closings, ended)
        .outerjoin(attempts, attempts.c.decision_id == asked.c.decision_id)
        .outerjoin(settlements, settled)
        .order_by(asked.c.decision_id.desc(), attempts.c.opened_us, attempts.c.attempt_id)
    )


def _chosen(span: Span, among: int, before: str | None) -> Subquery:
    query = select(*(requests.c[name] for name in _OF_REQUEST), requests.c.month).order_by(
        requests.c.decision_id.desc()
    )
    if span.tenant_id is not None:
        query = query.where(requests.c.tenant_id == span.tenant_id)
    if before is not None:
        query = query.where(requests.c.decision_id < before)
    if span.since_us is not None:
        query = query.where(
            requests.c.created_us >= span.since_us, requests.c.decision_id >= _id(span.since_us, -_SLACK_MS)
        )
    if span.until_us is not None:
        query = query.where(
            requests.c.created_us < span.until_us, requests.c.decision_id < _id(span.until_us, _SLACK_MS)
        )
    return query.limit(among).subquery("chosen")


def _id(moment_us: int, slack_ms: int) -> str:
    """Where identifiers of a moment begin."""
    return f"dec_{max(0, moment_us // 1000 + slack_ms):012x}"


def _has(tags: str, tag: tuple[str, str]) -> bool:
    try:
        return bool(orjson.loads(tags).get(tag[0]) == tag[1])
    except (orjson.JSONDecodeError, AttributeError):  # longer ones were cut
        return False


def _seen(rows: Sequence[Row[Any]]) -> Seen:
    first = rows[0]
    named = dict(zip(_NAMED, first, strict=False))
    created = datetime.fromtimestamp(named.pop("created_us") / 1_000_000, UTC)
    del named["tags"]
    calls = [
        SeenCall(**dict(zip(_CALLED, row[len(_NAMED) :], strict=True))) for row in rows if row[len(_NAMED)] is not None
    ]
    return Seen(created=created, steps=tuple(calls), **named)
