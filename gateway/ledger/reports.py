"""What was spent: exact sums over the ledger, by model, key or day.

Sums are taken of integers by the database. An attempt whose price is unknown is counted beside the sums and never in
them as zero. Knows no page and no command line.
"""

from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, FromClause, RowMapping, Select, and_, case, func, literal, select

from gateway.database import Database
from gateway.ledger.decisions import DecisionReport, explain
from gateway.ledger.entry import usd
from gateway.ledger.tables import attempts, closings, requests, settlements

SpendBy = Literal["model", "key", "day"]

_DAY_US = 86_400_000_000
_EPOCH = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendRow:
    """What was spent under one heading: a model, a key's id (None: without a key), a day of UTC, or all together.

    known_nanousd : of all settled attempts whose price is known; ``rejected_nanousd`` and ``estimated_nanousd`` are
        contained in it.
    reserved_nanousd : bounds of the open attempts, which are settled later.
    saved_nanousd : what the cached answers had cost when they were bought.
    """

    heading: str | None
    requests: int | None = 0  # None by model: a request may call several
    attempts: int = 0
    accepted: int = 0
    rejected: int = 0
    failed: int = 0
    cancelled: int = 0
    open: int = 0
    unknown: int = 0  # settled attempts without a known price
    estimated: int = 0
    cache_hits: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    known_nanousd: int = 0
    rejected_nanousd: int = 0
    estimated_nanousd: int = 0
    reserved_nanousd: int = 0
    saved_nanousd: int = 0

    @property
    def nanousd(self) -> int | None:
        """What was spent as far as it is known; None where nothing of it is."""
        settled = self.attempts - self.open
        return None if settled and settled == self.unknown else self.known_nanousd

    def as_json(self) -> dict[str, Any]:
        """Plain values; amounts as integer nano-USD and as exact decimal strings of USD, null where unknown."""
        plain = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "known_nanousd"}
        amount = self.nanousd
        return {**plain, "cost_nanousd": amount, "cost_usd": None if amount is None else usd(amount)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A half-open stretch of time and whose requests are meant; None is without bound."""

    since: datetime | None = None
    until: datetime | None = None
    tenant_id: str | None = None


class Reports:
    """Reads one ledger. Raises DatabaseUnavailable, or DatabaseError where the schema is not there."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def spend(self, by: SpendBy, span: Span | None = None) -> tuple[SpendRow, ...]:
        """One row per model, key or day in which something was asked, costliest first, days in order."""
        rows = await self._rows(by, span or Span())
        if by == "day":
            return tuple(sorted(rows, key=lambda row: row.heading or ""))
        return tuple(sorted(rows, key=lambda row: (-row.known_nanousd, row.heading or "")))

    async def total(self, span: Span | None = None) -> SpendRow:
        """Everything together."""
        rows = await self._rows(None, span or Span())
        return rows[0] if rows else SpendRow(heading=None)

    async def decision(self, decision_id: str, tenant_id: str | None) -> DecisionReport | None:
        """One request explained in full, if it is the tenant's; ``tenant_id`` None: whosever it is."""
        return await explain(self._database, decision_id, tenant_id=tenant_id)

    async def _rows(self, by: SpendBy | None, span: Span) -> list[SpendRow]:
        queries = (_attempt_sums(by, span), _cache_sums(by, span), *((_request_counts(by, span),) * (by != "model")))
        found: dict[Any, dict[str, Any]] = {}
        async with self._database.read() as connection:
            for query in queries:
                for row in (await connection.execute(query)).mappings():
                    found.setdefault(row["heading"], {}).update(_values(row))
        unasked: dict[str, Any] = {"requests": None} if by == "model" else {}
        return [SpendRow(heading=_heading(by, key), **unasked, **values) for key, values in found.items()]


def _attempt_sums(by: SpendBy | None, span: Span) -> Select[Any]:
    settled = settlements.c.attempt_id.is_not(None)
    heading = _heading_column(by, attempts.c.model, attempts.c.opened_us)
    states = ("accepted", "rejected", "failed", "cancelled")
    amount = settlements.c.amount_nanousd
    is_estimate = settlements.c.usage_source == "estimated"
    tables: FromClause = attempts.outerjoin(settlements, settlements.c.attempt_id == attempts.c.attempt_id)
    if by == "key" or span.tenant_id is not None:
        tables = tables.join(requests, requests.c.decision_id == attempts.c.decision_id)
    return (
        select(
            heading.label("heading"),
            func.count().label("attempts"),
            *(_count(settlements.c.state == state).label(state) for state in states),
            _count(~settled).label("open"),
            _count(and_(settled, amount.is_(None))).label("unknown"),
            _count(is_estimate).label("estimated"),
            _sum(settlements.c.prompt_tokens).label("prompt_tokens"),
            _sum(settlements.c.completion_tokens).label("completion_tokens"),
            _sum(amount).label("known_nanousd"),
            _sum(amount, settlements.c.state == "rejected").label("rejected_nanousd"),
            _sum(amount, is_estimate).label("estimated_nanousd"),
            _sum(attempts.c.reserved_nanousd, ~settled).label("reserved_nanousd"),
        )
        .select_from(tables)
        .where(*_within(span, attempts.c.opened_us))
        .group_by(heading)
    )


def _cache_sums(by: SpendBy | None, span: Span) -> Select[Any]:
    heading = _heading_column(by, closings.c.answered_model, requests.c.created_us)
    return (
        select(
            heading.label("heading"),
            func.count().label("cache_hits"),
            _sum(closings.c.saved_nanousd).label("saved_nanousd"),
        )
        .select_from(closings.join(requests, requests.c.decision_id == closings.c.decision_id))
        .where(closings.c.status == "cached", *_within(span, requests.c.created_us))
        .group_by(heading)
    )


def _request_counts(by: SpendBy | None, span: Span) -> Select[Any]:
    heading = _heading_column(by, requests.c.requested_model, requests.c.created_us)
    counted = select(heading.label("heading"), func.count().label("requests"))
    return counted.select_from(requests).where(*_within(span, requests.c.created_us)).group_by(heading)


def _heading_column(by: SpendBy | None, model: ColumnElement[str], moment_us: ColumnElement[int]) -> ColumnElement[Any]:
    if by == "model":
        return model
    if by == "key":
        return requests.c.key_id
    return moment_us - moment_us % _DAY_US if by == "day" else literal(0)


def _heading(by: SpendBy | None, key: Any) -> str | None:
    if by == "day":
        return date.fromordinal(_EPOCH + int(key) // _DAY_US).isoformat()
    return None if by is None else key


def _within(span: Span, moment_us: ColumnElement[int]) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if span.since is not None:
        conditions.append(moment_us >= _microseconds(span.since))
    if span.until is not None:
        conditions.append(moment_us < _microseconds(span.until))
    if span.tenant_id is not None:
        conditions.append(requests.c.tenant_id == span.tenant_id)
    return conditions


def _microseconds(moment: datetime) -> int:
    return int(moment.astimezone(UTC).timestamp() * 1_000_000)


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def _sum(column: ColumnElement[int], condition: ColumnElement[bool] | None = None) -> ColumnElement[int]:
    return func.coalesce(func.sum(column if condition is None else case((condition, column))), 0)


def _values(row: RowMapping) -> dict[str, int]:
    # PostgreSQL adds BIGINTs up to a NUMERIC, which comes as a Decimal
    return {name: int(value) for name, value in row.items() if name != "heading"}
