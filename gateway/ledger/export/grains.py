"""The ledger row by row: requests, attempts and line items, each with what its parts come to today.

Rows are read in pages by time, each page in a transaction of its own: a long export holds up nobody, and every row is
in it once, as it stood when its page was read. Knows the ledger's tables.
"""

from collections.abc import AsyncGenerator, Sequence
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Row, Table, and_, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.database import Database
from gateway.errors import InvalidRequest
from gateway.ledger.export.columns import Column, Pages, Record, columns, usd_of
from gateway.ledger.reports import Span
from gateway.ledger.retention.kept import must_be_kept
from gateway.ledger.rollups.sources import amount_now, settled_attempts, uncompiled
from gateway.ledger.tables import attempts, closings, line_items, requests, settlements

_PAGE = 1000

_OWNER = columns(tenant_id="text", team_id="text", key_id="text", policy="text")
_REQUEST = (
    *columns(decision_id="text", created="moment"),
    *_OWNER,
    *columns(requested_model="text", endpoint="text", streamed="truth", strategy_id="text", scorer_version="text"),
    *columns(tags="text", status="text", closed="moment", stop_reason="text", abstention="text"),
    *columns(cache_status="text", answered_model="text", answered_attempt="text", saved_nanousd="whole"),
    *columns(reference_model="text", reference_source="text", reference_nanousd="whole"),
)
REQUEST_COLUMNS = (
    *_REQUEST,
    *columns(attempts="whole", unknown_attempts="whole", known_nanousd="whole", cost_nanousd="whole", cost_usd="usd"),
)
_CALL = (
    *columns(attempt_id="text", decision_id="text", opened="moment"),
    *_OWNER,
    *columns(kind="text", stage="whole", model="text", deployment="text", cause="text", provider="text"),
)
_ENDING = (
    *columns(state="text", settled="moment", usage_source="text", prompt_tokens="whole", cached_prompt_tokens="whole"),
    *columns(cache_write_tokens="whole", completion_tokens="whole", reasoning_tokens="whole", latency_s="number"),
    Column("first_token_s", "number"),
    *columns(score="number", threshold="number", finish_reason="text", error_kind="text"),
    *columns(error_status="whole"),
)
ATTEMPT_COLUMNS = (
    *_CALL,
    *columns(price_version="text", reserved_nanousd="whole", tags="text"),
    *_ENDING,
    *columns(settled_nanousd="whole", cost_nanousd="whole", cost_usd="usd"),
)
_LINE = columns(meter="text", seq="whole", quantity="whole", rate_usd="exact", price_version="text", source="text")
LINE_COLUMNS = (*_CALL, *columns(tags="text"), *_LINE, *columns(amount_nanousd="whole", amount_usd="usd"))

_STORED_AS = {"created": "created_us", "closed": "closed_us", "opened": "opened_us", "settled": "settled_us"}


def request_pages(database: Database, span: Span) -> Pages:
    """Of requests that came in the stretch; ``known_nanousd`` is without those attempts whose cost is not known.

    Raises InvalidRequest for a span of some calls of requests only.
    """
    if not span.of_whole_requests:
        raise InvalidRequest(
            "requests cannot be told apart by model, provider or kind: one may call several",
            param="model",
            code="invalid_parameter",
        )
    return _request_pages(database, span)


async def _request_pages(database: Database, span: Span) -> AsyncGenerator[Sequence[Record]]:
    names = [_STORED_AS.get(column.name, column.name) for column in _REQUEST]
    same = and_(closings.c.decision_id == requests.c.decision_id, closings.c.month == requests.c.month)
    query = select(*(_one_of((requests, closings), name) for name in names)).select_from(
        requests.outerjoin(closings, same)
    )
    query = query.where(*(condition(requests) for condition in span.conditions()))
    async for connection, page in _pages(database, query, (requests.c.created_us, requests.c.decision_id), span):
        costs = await _costs(connection, [row.decision_id for row in page])
        records = []
        for row in page:
            calls, unknown, known = costs.get(row.decision_id, (0, 0, 0))
            cost = None if unknown else known
            records.append((*row, calls, unknown, known, cost, usd_of(cost)))
        yield records


async def _costs(connection: AsyncConnection, decision_ids: Sequence[str]) -> dict[str, tuple[int, int, int]]:
    amount = amount_now().label("amount")
    one = select(attempts.c.decision_id, amount).select_from(settled_attempts())
    each = one.where(attempts.c.decision_id.in_(decision_ids)).subquery()
    query = select(each.c.decision_id, func.count(), func.count(each.c.amount), func.sum(each.c.amount))
    rows = (await connection.execute(query.group_by(each.c.decision_id))).all()
    return {decision_id: (calls, calls - known, int(amount or 0)) for decision_id, calls, known, amount in rows}


async def attempt_pages(database: Database, span: Span) -> AsyncGenerator[Sequence[Record]]:
    """Of attempts that were opened in the stretch; ``cost_nanousd`` is with every correction, empty where unknown."""
    shown = [column for column in ATTEMPT_COLUMNS if column.name not in ("settled_nanousd", "cost_nanousd", "cost_usd")]
    more = (settlements.c.amount_nanousd.label("settled_nanousd"), amount_now().label("cost_nanousd"))
    async for _, page in _call_pages(database, span, shown, more):
        yield [(*row[:-1], _whole(row[-1]), usd_of(_whole(row[-1]))) for row in page]


async def line_pages(database: Database, span: Span) -> AsyncGenerator[Sequence[Record]]:
    """Of the line items of attempts that were opened in the stretch, those of corrections included."""
    names = [*(column.name for column in _LINE), "amount_nanousd"]
    shown = (*_CALL, *columns(tags="text"))
    async for connection, page in _call_pages(database, span, shown, (attempts.c.month,)):
        ids, months = [row.attempt_id for row in page], {row.month for row in page}
        query = select(line_items.c.attempt_id, *(line_items.c[name] for name in names))
        query = query.where(line_items.c.attempt_id.in_(ids), line_items.c.month.in_(months))
        lines: dict[str, list[Row[Any]]] = {}
        for line in (await connection.execute(query.order_by(line_items.c.meter, line_items.c.seq))).all():
            lines.setdefault(line.attempt_id, []).append(line)
        yield [
            (*row[:-1], *line[1:], usd_of(line.amount_nanousd))
            for row in page
            for line in lines.get(row.attempt_id, ())
        ]


async def _call_pages(
    database: Database, span: Span, shown: Sequence[Column], more: Sequence[ColumnElement[Any]]
) -> AsyncGenerator[tuple[AsyncConnection, Sequence[Row[Any]]]]:
    names = [_STORED_AS.get(column.name, column.name) for column in shown]
    found = [requests.c.tags if name == "tags" else _one_of((attempts, settlements), name) for name in names]
    tables = settled_attempts().join(requests, requests.c.decision_id == attempts.c.decision_id)
    query = select(*found, *more).select_from(tables)
    query = query.where(*(condition(attempts) for condition in span.attempt_conditions()))
    async for connection, page in _pages(database, query, (attempts.c.opened_us, attempts.c.attempt_id), span):
        yield connection, page


async def _pages(
    database: Database, query: Any, order: tuple[ColumnElement[int], ColumnElement[str]], span: Span
) -> AsyncGenerator[tuple[AsyncConnection, Sequence[Row[Any]]]]:
    moment, key = order
    if span.since_us is not None:
        query = query.where(moment >= span.since_us)
    if span.until_us is not None:
        query = query.where(moment < span.until_us)
    query = query.order_by(moment, key).limit(_PAGE)
    await must_be_kept(database, span.since_us)
    if span.tag is not None:
        await must_be_kept(database, span.since_us, tags=True)
    last: tuple[int, str] | None = None
    while True:
        following = query if last is None else query.where(moment >= last[0], tuple_(moment, key) > last)
        async with database.read() as connection:
            await uncompiled(connection)
            page = (await connection.execute(following)).all()
            wanted = [row for row in page if has_tag(row.tags, span.tag)]
            if wanted:
                yield connection, wanted
        if len(page) < _PAGE:
            return
        last = page[-1]._mapping[moment], page[-1]._mapping[key]  # noqa: SLF001 - SQLAlchemy's public name


def _one_of(tables: Sequence[Table], name: str) -> ColumnElement[Any]:
    return next(table.c[name] for table in tables if name in table.c)


def has_tag(tags: str, wanted: tuple[str, str] | None) -> bool:
    """Whether a request's tags, as they are kept, hold the one that is wanted."""
    if wanted is None:
        return True
    try:
        told = orjson.loads(tags)
    except orjson.JSONDecodeError:  # they were longer than what is kept, and cut off
        return False
    return isinstance(told, dict) and told.get(wanted[0]) == wanted[1]


def _whole(value: Any) -> int | None:
    """PostgreSQL adds BIGINTs up to a NUMERIC, which comes as a Decimal."""
    return None if value is None else int(value)
