"""One request explained in full: what was called, what it scored, what it cost and why it stopped.

Knows the ledger's tables. Knows no HTTP: ``as_json`` is plain values.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson
from sqlalchemy import Row, RowMapping, Select, select

from gateway.database import Database
from gateway.ledger.entry import usd
from gateway.ledger.tables import attempts, closings, line_items, requests, retention_state, settlements
from router.ids import month_of


@dataclass(frozen=True, slots=True, kw_only=True)
class LineReport:
    """One meter of an attempt. ``rate_usd`` is per million tokens, for "request" and "bound" per piece."""

    attempt_id: str
    meter: str
    quantity: int
    rate_usd: Decimal | None
    price_version: str | None
    amount_nanousd: int | None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "meter": self.meter,
            "quantity": self.quantity,
            "rate_usd": None if self.rate_usd is None else format(self.rate_usd, "f"),
            "price_version": self.price_version,
            "cost_usd": _usd(self.amount_nanousd),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptReport:
    """One call. Everything from ``state`` on is None while it is under way."""

    attempt_id: str
    kind: str
    cause: str
    stage: int
    model: str
    deployment: str | None
    opened: datetime
    reserved_nanousd: int | None
    state: str | None
    score: float | None
    threshold: float | None
    latency_s: float | None
    first_token_s: float | None
    finish_reason: str | None
    error_kind: str | None
    error_status: int | None
    prompt_tokens: int | None
    cached_prompt_tokens: int | None
    completion_tokens: int | None
    reasoning_tokens: int | None
    usage_source: str | None
    amount_nanousd: int | None
    lines: tuple[LineReport, ...]
    verdicts: tuple[Mapping[str, Any], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Plain values; tiers count from 1."""
        error = {"kind": self.error_kind, "status": self.error_status}
        usage = {
            "prompt_tokens": self.prompt_tokens,
            "cached_prompt_tokens": self.cached_prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "reasoning_tokens": self.reasoning_tokens,
        }
        return {
            "id": self.attempt_id,
            "kind": self.kind,
            "cause": self.cause,
            "tier": self.stage + 1,
            "model": self.model,
            "deployment": self.deployment,
            "opened": self.opened.isoformat(),
            "state": self.state or "open",
            "score": self.score,
            "threshold": self.threshold,
            "latency_s": self.latency_s,
            "first_token_s": self.first_token_s,
            "finish_reason": self.finish_reason,
            "error": None if self.error_kind is None else error,
            "usage": None if self.prompt_tokens is None else usage,
            "usage_source": self.usage_source,
            "reserved_usd": _usd(self.reserved_nanousd),
            "cost_usd": _usd(self.amount_nanousd),
            "lines": [line.as_json() for line in self.lines],
            "verdicts": list(self.verdicts),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionReport:
    """One request. Everything from ``status`` to ``reference_source`` is None while it is under way."""

    decision_id: str
    created: datetime
    tenant_id: str
    team_id: str | None
    key_id: str | None
    policy: str | None
    requested_model: str
    endpoint: str
    streamed: bool
    strategy_id: str | None
    scorer_version: str | None
    reference_model: str | None
    tags: dict[str, str]
    closed: datetime | None
    status: str | None
    stop_reason: str | None
    answered_attempt: str | None
    answered_model: str | None
    cache_status: str | None
    saved_nanousd: int | None
    reference_nanousd: int | None
    reference_source: str | None
    steps: tuple[dict[str, Any], ...]
    attempts: tuple[AttemptReport, ...]
    abstention: str | None = None  # why the scorer abstained, where it did
    details_dropped: bool = False  # tags, steps and verdicts had their time

    @property
    def spent_nanousd(self) -> int | None:
        """All attempts together; None while one is open, or where the price of one is unknown."""
        amounts = [attempt.amount_nanousd for attempt in self.attempts]
        return None if None in amounts else sum(amount for amount in amounts if amount is not None)

    def as_json(self) -> dict[str, Any]:
        """Plain values; amounts as exact decimal strings of USD, null where unknown."""
        spent, reference = self.spent_nanousd, self.reference_nanousd
        return {
            "id": self.decision_id,
            "object": "decision",
            "created": self.created.isoformat(),
            "closed": None if self.closed is None else self.closed.isoformat(),
            "key_id": self.key_id,
            "endpoint": self.endpoint,
            "requested_model": self.requested_model,
            "streamed": self.streamed,
            "policy": self.policy,
            "strategy_id": self.strategy_id,
            "scorer_version": self.scorer_version,
            "status": self.status or "open",
            "stop_reason": self.stop_reason,
            "abstention": self.abstention,
            "cache": self.cache_status,
            "answered_by": {"attempt": self.answered_attempt, "model": self.answered_model},
            "cost_usd": _usd(spent),
            "cache_saved_usd": _usd(self.saved_nanousd),
            "reference": {
                "model": self.reference_model,
                "cost_usd": _usd(reference),
                "source": self.reference_source,
                "saved_usd": None if reference is None or spent is None else usd(reference - spent),
            },
            "tags": self.tags,
            "steps": list(self.steps),
            "details_dropped": self.details_dropped,
            "attempts": [attempt.as_json() for attempt in self.attempts],
        }


async def explain(database: Database, decision_id: str, *, tenant_id: str | None) -> DecisionReport | None:
    """The request with this id, if it is the tenant's; ``tenant_id`` None: whosever it is."""
    query = select(requests, closings).outerjoin(closings, closings.c.decision_id == requests.c.decision_id)
    query = query.where(requests.c.decision_id == decision_id)
    if tenant_id is not None:
        query = query.where(requests.c.tenant_id == tenant_id)
    async with database.read() as connection:
        request = (await connection.execute(query)).mappings().first()
        if request is None:
            return None
        calls = (await connection.execute(_calls(decision_id))).mappings().all()
        until_us = (await connection.execute(select(retention_state.c.details_from_us))).scalar() or 0
        lines = (await connection.execute(_lines(decision_id))).all()
    dropped = request["created_us"] < until_us
    return _decision(request, tuple(_attempt(call, lines) for call in calls), details_dropped=dropped)


async def is_dropped(database: Database, decision_id: str) -> bool:
    """Whether the decision is of a time of which no single request is kept."""
    async with database.read() as connection:
        before = (await connection.execute(select(retention_state.c.dropped_month))).scalar() or 0
    return 0 < month_of(decision_id) < before


def _calls(decision_id: str) -> Select[Any]:
    return (
        select(attempts, *(column for column in settlements.c if column.name != "attempt_id"))
        .outerjoin(settlements, settlements.c.attempt_id == attempts.c.attempt_id)
        .where(attempts.c.decision_id == decision_id)
        .order_by(attempts.c.opened_us, attempts.c.attempt_id)
    )


def _lines(decision_id: str) -> Select[Any]:
    return (
        select(line_items)
        .join(attempts, attempts.c.attempt_id == line_items.c.attempt_id)
        .where(attempts.c.decision_id == decision_id)
        .order_by(line_items.c.attempt_id, line_items.c.meter, line_items.c.seq)
    )


def _decision(values: RowMapping, calls: tuple[AttemptReport, ...], *, details_dropped: bool) -> DecisionReport:
    names = [
        *(
            "decision_id",
            "tenant_id",
            "team_id",
            "key_id",
            "policy",
            "requested_model",
            "endpoint",
            "streamed",
            "strategy_id",
        ),
        *("scorer_version", "reference_model", "status", "stop_reason", "answered_attempt", "answered_model"),
        "abstention",
        *("cache_status", "saved_nanousd"),
    ]
    reference_nanousd, reference_source = _reference(values, calls)
    return DecisionReport(
        created=_moment(values["created_us"]),
        closed=None if values["closed_us"] is None else _moment(values["closed_us"]),
        tags=orjson.loads(values["tags"]),
        steps=tuple(orjson.loads(values["steps"] or "[]")),
        attempts=calls,
        details_dropped=details_dropped,
        reference_nanousd=reference_nanousd,
        reference_source=reference_source,
        **{name: values[name] for name in names},
    )


def _reference(values: RowMapping, calls: Sequence[AttemptReport]) -> tuple[int | None, str | None]:
    """What the reference model would have cost: what it did cost in shadow, where it was asked so."""
    if values["reference_source"] != "observed":
        for call in calls:
            answers = call.kind == "shadow" and call.state in ("accepted", "rejected")
            if answers and call.model == values["reference_model"] and call.amount_nanousd is not None:
                return call.amount_nanousd, "shadow"
    return values["reference_nanousd"], values["reference_source"]


def _attempt(values: RowMapping, lines: Sequence[Row[Any]]) -> AttemptReport:
    names = [
        *(
            "attempt_id",
            "kind",
            "cause",
            "stage",
            "model",
            "deployment",
            "reserved_nanousd",
            "state",
            "score",
            "threshold",
            "latency_s",
        ),
        *("first_token_s", "finish_reason", "error_kind", "error_status", "prompt_tokens", "cached_prompt_tokens"),
        *("completion_tokens", "reasoning_tokens", "usage_source", "amount_nanousd"),
    ]
    return AttemptReport(
        opened=_moment(values["opened_us"]),
        verdicts=tuple(orjson.loads(values["verdicts"] or "[]")),
        lines=tuple(_line(line) for line in lines if line.attempt_id == values["attempt_id"]),
        **{name: values[name] for name in names},
    )


def _line(row: Row[Any]) -> LineReport:
    return LineReport(
        attempt_id=row.attempt_id,
        meter=row.meter,
        quantity=row.quantity,
        rate_usd=row.rate_usd,
        price_version=row.price_version,
        amount_nanousd=row.amount_nanousd,
    )


def _moment(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds / 1_000_000, UTC)


def _usd(nanousd: int | None) -> str | None:
    return None if nanousd is None else usd(nanousd)
