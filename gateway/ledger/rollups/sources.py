"""Raw rows under the names of the rollups' columns, so that one query reads either.

Knows how an attempt's and a request's cost come about from their rows, corrections included. Knows no rollup.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    Subquery,
    and_,
    case,
    cast,
    false,
    func,
    literal,
    literal_column,
    or_,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.ledger.tables import attempts, closings, corrections, requests, settlements

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
BY_DAY = "day_us"
"""A dimension of every source: the day of UTC that its hour lies in."""

LONGEST_TAGS = 65_536  # longer ones were cut, and are no JSON

Ranges = Sequence[tuple[int, int | None]]
"""Half-open stretches of microseconds; None is without end."""

_NANO = 1e-9


async def uncompiled(connection: AsyncConnection) -> None:
    """For this transaction: PostgreSQL may take ten seconds to compile a query of sums that runs for milliseconds."""
    if connection.dialect.name == "postgresql":
        await connection.execute(text("SET LOCAL jit = off"))


def within(moment: ColumnElement[int], ranges: Ranges) -> ColumnElement[bool]:
    """Whether a moment lies in one of the ranges."""
    parts = [moment >= since if until is None else and_(moment >= since, moment < until) for since, until in ranges]
    return or_(*parts) if parts else false()


def grouped(source: FromClause, dimensions: Sequence[str], measures: Sequence[str]) -> Select[Any]:
    """The measures of a source added up for each combination of the dimensions."""
    columns = [_dimension(source, name) for name in dimensions]
    sums = [func.sum(source.c[name]).label(name) for name in measures]
    return select(*columns, *sums).group_by(*columns)


def _dimension(source: FromClause, name: str) -> ColumnElement[Any]:
    if name != BY_DAY:
        return source.c[name]
    return (source.c.hour_us - source.c.hour_us % literal_column(str(DAY_US))).label(BY_DAY)


def amount_now() -> ColumnElement[Any]:
    """What an attempt costs, as far as it is known today: its settlement and every correction; NULL if unknown."""
    corrected = _corrected()
    return case(
        (corrected.is_(None), settlements.c.amount_nanousd), else_=_zero(settlements.c.amount_nanousd) + corrected
    )


def settled_attempts() -> FromClause:
    """Attempts with their settlements, as far as they have one."""
    same = and_(settlements.c.attempt_id == attempts.c.attempt_id, settlements.c.month == attempts.c.month)
    return attempts.outerjoin(settlements, same)


def each_attempt(ranges: Ranges, *, tagged: bool, sqlite: bool) -> Subquery:
    """One row an attempt that was opened in the ranges; ``tagged``: one row for each tag of its request."""
    amount = amount_now()
    settled = settlements.c.attempt_id.is_not(None)
    unknown = and_(settled, amount.is_(None))
    estimated = settlements.c.usage_source == "estimated"
    tables = settled_attempts()
    name: ColumnElement[Any] = literal("")
    value: ColumnElement[Any] = literal("")
    if tagged:
        tables = tables.join(requests, requests.c.decision_id == attempts.c.decision_id)
        tables, name, value = _with_tags(tables, sqlite=sqlite)
    return (
        select(
            (attempts.c.opened_us - attempts.c.opened_us % HOUR_US).label("hour_us"),
            name.label("tag_name"),
            value.label("tag_value"),
            *(
                attempts.c[n]
                for n in ("tenant_id", "team_id", "key_id", "policy", "kind", "stage", "model", "provider")
            ),
            settlements.c.state,
            literal(1).label("attempts"),
            _one(estimated).label("estimated"),
            _one(and_(unknown, attempts.c.price_version.is_(None))).label("unpriced"),
            _one(and_(unknown, attempts.c.price_version.is_not(None))).label("unmeasured"),
            _one(_corrected().is_not(None)).label("corrected"),
            *(
                _zero(settlements.c[n]).label(n)
                for n in ("prompt_tokens", "cached_prompt_tokens", "cache_write_tokens")
            ),
            *(_zero(settlements.c[n]).label(n) for n in ("completion_tokens", "reasoning_tokens")),
            _zero(amount).label("spent_nanousd"),
            case((estimated, _zero(amount)), else_=0).label("estimated_nanousd"),
            case((settled, 0), else_=_zero(attempts.c.reserved_nanousd)).label("reserved_nanousd"),
            _zero(_corrected()).label("corrected_nanousd"),
            func.coalesce(settlements.c.latency_s, 0.0).label("latency_s"),
        )
        .select_from(tables)
        .where(within(attempts.c.opened_us, ranges))
        .subquery("each_attempt")
    )


def each_request(ranges: Ranges, *, tagged: bool, sqlite: bool) -> Subquery:
    """One row a request that came in the ranges, with what its attempts cost; ``tagged``: one row for each tag."""
    costs = _costs_of_requests(ranges)
    reference = case(
        (closings.c.reference_source == "observed", closings.c.reference_nanousd),
        else_=func.coalesce(costs.c.shadow, closings.c.reference_nanousd),
    )
    source = case(
        (closings.c.reference_source == "observed", closings.c.reference_source),
        (costs.c.shadow.is_not(None), literal("shadow")),
        else_=closings.c.reference_source,
    )
    compared = and_(costs.c.unknown == 0, reference.is_not(None))
    in_shadow = and_(compared, source == "shadow")
    modelled = func.coalesce(closings.c.reference_nanousd, reference)  # where nothing is modelled, it is not off
    modelled_usd = modelled * _NANO
    spent_usd, reference_usd = costs.c.spent * _NANO, reference * _NANO
    same = and_(closings.c.decision_id == requests.c.decision_id, closings.c.month == requests.c.month)
    tables: FromClause = requests.join(costs, costs.c.decision_id == requests.c.decision_id).outerjoin(closings, same)
    name: ColumnElement[Any] = literal("")
    value: ColumnElement[Any] = literal("")
    if tagged:
        tables, name, value = _with_tags(tables, sqlite=sqlite)
    return (
        select(
            (requests.c.created_us - requests.c.created_us % HOUR_US).label("hour_us"),
            name.label("tag_name"),
            value.label("tag_value"),
            *(requests.c[n] for n in ("tenant_id", "team_id", "key_id", "policy", "reference_model")),
            *(closings.c[n] for n in ("status", "cache_status", "answered_model")),
            source.label("reference_source"),
            literal(1).label("requests"),
            _one(costs.c.unknown > 0).label("unknown"),
            case((costs.c.unknown > 0, costs.c.spent), else_=0).label("unknown_nanousd"),
            costs.c.spent.label("spent_nanousd"),
            case((closings.c.status == "cached", _zero(closings.c.saved_nanousd)), else_=0).label("saved_nanousd"),
            _one(compared).label("compared"),
            case((compared, costs.c.spent), else_=0).label("compared_nanousd"),
            case((compared, reference), else_=0).label("reference_nanousd"),
            case((compared, spent_usd * spent_usd), else_=0.0).label("spent_squared"),
            case((compared, reference_usd * reference_usd), else_=0.0).label("reference_squared"),
            case((compared, spent_usd * reference_usd), else_=0.0).label("spent_by_reference"),
            case((in_shadow, modelled), else_=0).label("modelled_nanousd"),
            case((in_shadow, modelled_usd * modelled_usd), else_=0.0).label("modelled_squared"),
            case((in_shadow, modelled_usd * reference_usd), else_=0.0).label("modelled_by_reference"),
        )
        .select_from(tables)
        .where(within(requests.c.created_us, ranges))
        .subquery("each_request")
    )


def _costs_of_requests(ranges: Ranges) -> Subquery:
    amount = amount_now()
    answers = settlements.c.state.in_(("accepted", "rejected"))
    shadow = and_(attempts.c.kind == "shadow", attempts.c.model == requests.c.reference_model, answers)
    tables = requests.outerjoin(attempts, attempts.c.decision_id == requests.c.decision_id)
    same = and_(settlements.c.attempt_id == attempts.c.attempt_id, settlements.c.month == attempts.c.month)
    return (
        select(
            requests.c.decision_id,
            func.coalesce(func.sum(amount), 0).label("spent"),
            (func.count(attempts.c.attempt_id) - func.count(amount)).label("unknown"),
            func.max(case((shadow, amount))).label("shadow"),
        )
        .select_from(tables.outerjoin(settlements, same))
        .where(within(requests.c.created_us, ranges))
        .group_by(requests.c.decision_id)
        .subquery("costs")
    )


def _with_tags(tables: FromClause, *, sqlite: bool) -> tuple[FromClause, ColumnElement[Any], ColumnElement[Any]]:
    whole = and_(func.length(requests.c.tags) < LONGEST_TAGS, requests.c.tags.not_like("%\\\\u0000%"))
    readable = case((whole, requests.c.tags), else_="{}")  # what a JSON function would fail on counts as no tags
    each = func.json_each(readable) if sqlite else func.jsonb_each_text(cast(readable, JSONB))
    listed = each.table_valued("key", "value", joins_implicitly=True)
    tags = listed.alias("tag") if sqlite else listed.lateral("tag")
    name = func.substr(tags.c.key, 1, 256)
    return tables.join(tags, literal(True)), name, func.substr(tags.c.value, 1, 1024)


def _corrected() -> ColumnElement[Any]:
    return (
        select(func.sum(corrections.c.amount_nanousd))
        .where(corrections.c.attempt_id == attempts.c.attempt_id, corrections.c.month == attempts.c.month)
        .correlate(attempts)
        .scalar_subquery()
    )


def _one(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return case((condition, 1), else_=0)


def _zero(column: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.coalesce(column, 0)
