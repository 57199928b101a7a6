"""What settled attempts would have cost at other prices, put down as corrections: no row is changed.

An attempt is priced at what the given book says was in force when it was opened. What was settled without counts (at
its bound, or for nothing) stays, and so does what the book has no price for. Doing it again changes nothing.
Knows the arithmetic and the order. Leaves the writing to the store.
"""

import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import Row, func, select, tuple_

from gateway.database import Database, DatabaseError
from gateway.ledger.billing import BOUND, Correction, Line, Reservation
from gateway.ledger.group import Group
from gateway.ledger.orphans import RESERVATION
from gateway.ledger.rollups.tables import rollup_state
from gateway.ledger.store import LedgerStore
from gateway.ledger.tables import attempts, corrections, line_items, price_versions, settlements
from router.pricing import PriceBook, price_of
from scorer.answer import Usage

_PAGE = 500


@dataclass(slots=True, kw_only=True)
class Repriced:
    """What came of it. ``before_nanousd`` and ``after_nanousd`` are of the corrected attempts alone."""

    looked_at: int = 0
    corrected: int = 0
    unpriced: int = 0  # the book has no price for them
    before_nanousd: int = 0
    after_nanousd: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """An attempt as it stands: per meter its quantity and amount, with all corrections so far."""

    reservation: Reservation
    usage: Usage
    amount_nanousd: int | None
    seq: int
    meters: Mapping[str, tuple[int, int]]


async def reprice(
    database: Database, store: LedgerStore, book: PriceBook, since: datetime, *, reason: str, dry_run: bool = False
) -> Repriced:
    """Correct every attempt opened since then. Raises DatabaseUnavailable or DatabaseError; done parts stay done."""
    result = Repriced()
    async with database.read() as connection:
        kept_us = (await connection.execute(select(rollup_state.c.raw_since_us))).scalar_one()
    if since.timestamp() * 1_000_000 < kept_us:
        kept = datetime.fromtimestamp(kept_us / 1_000_000, UTC)
        raise DatabaseError(
            f"--from: what was called before {kept:%Y-%m-%d %H:%M} was dropped; from then on would be right"
        )
    async for page in _pages(database, since):
        found = [_correction(known, book, reason, result) for known in page]
        fixes = [fix for fix in found if fix is not None]
        result.corrected += len(fixes)
        if fixes and not dry_run:
            now_us = time.time_ns() // 1000
            await store.write(Group(corrections=[(now_us, fix) for fix in fixes]), again=False)
    return result


async def read_price_version(database: Database, version: str) -> dict[str, Any] | None:
    """What a price says that stored amounts refer to; None if none does."""
    query = select(price_versions.c.model, price_versions.c.content).where(price_versions.c.price_version == version)
    async with database.read() as connection:
        row = (await connection.execute(query)).first()
    return None if row is None else {"model": row.model, **orjson.loads(row.content)}


def _correction(known: _Known, book: PriceBook, reason: str, result: Repriced) -> Correction | None:
    result.looked_at += 1
    opened = known.reservation
    price = book.price(opened.model, datetime.fromtimestamp(opened.opened_us / 1_000_000, UTC))
    if price is None or not price.covers(known.usage):
        result.unpriced += 1
        return None
    cost = price_of(known.usage, price)
    right = {line.meter: line for line in cost.lines}
    lines = []
    for meter in {*right, *known.meters}:
        line = right.get(meter)  # type: ignore[call-overload]  # a meter of long ago may be none of today's
        quantity, amount = known.meters.get(meter, (0, 0))
        more = (0 if line is None else line.quantity) - quantity, (0 if line is None else line.amount_nanousd) - amount
        if more != (0, 0):
            rate = None if line is None else line.rate
            lines.append(
                Line(meter=meter, quantity=more[0], rate_usd=rate, price_version=price.version, amount_nanousd=more[1])
            )
    if not lines and known.amount_nanousd is not None:
        return None
    result.before_nanousd += known.amount_nanousd or 0
    result.after_nanousd += cost.nanousd
    return Correction(
        reservation=opened,
        seq=known.seq + 1,
        event="reprice",
        amount_nanousd=cost.nanousd - (known.amount_nanousd or 0),
        lines=tuple(lines),
        price_version=price.version,
        reason=reason,
        price=price,
    )


async def _pages(database: Database, since: datetime) -> AsyncGenerator[list[_Known]]:
    last = (int(since.timestamp() * 1_000_000), "")
    while True:
        order = (attempts.c.opened_us, attempts.c.attempt_id)
        query = (
            select(*RESERVATION, *_COUNTS, settlements.c.usage_source, settlements.c.amount_nanousd)
            .join(settlements, settlements.c.attempt_id == attempts.c.attempt_id)
            .where(tuple_(*order) > last)
            .order_by(*order)
            .limit(_PAGE)
        )
        async with database.read() as connection:
            rows: Sequence[Any] = (await connection.execute(query)).all()
            ids = [row.attempt_id for row in rows]
            lines = (await connection.execute(_meters(ids))).all() if ids else []
            fixes = (await connection.execute(_fixes(ids))).all() if ids else []
        if not rows:
            return
        yield _known(rows, lines, {fix.attempt_id: (fix.seq, int(fix.amount)) for fix in fixes})
        last = rows[-1].opened_us, rows[-1].attempt_id


_COUNTS = tuple(
    settlements.c[name]
    for name in (
        *("prompt_tokens", "completion_tokens", "cached_prompt_tokens", "cache_write_tokens", "reasoning_tokens"),
    )
)


def _meters(ids: Sequence[str]) -> Any:
    return (
        select(
            line_items.c.attempt_id,
            line_items.c.meter,
            func.sum(line_items.c.quantity).label("quantity"),
            func.coalesce(func.sum(line_items.c.amount_nanousd), 0).label("amount"),
        )
        .where(line_items.c.attempt_id.in_(ids))
        .group_by(line_items.c.attempt_id, line_items.c.meter)
    )


def _fixes(ids: Sequence[str]) -> Any:
    return (
        select(
            corrections.c.attempt_id,
            func.max(corrections.c.seq).label("seq"),
            func.sum(corrections.c.amount_nanousd).label("amount"),
        )
        .where(corrections.c.attempt_id.in_(ids))
        .group_by(corrections.c.attempt_id)
    )


def _known(rows: Sequence[Any], lines: Sequence[Row[Any]], fixes: Mapping[str, tuple[int, int]]) -> list[_Known]:
    meters: dict[str, dict[str, tuple[int, int]]] = {}
    for line in lines:
        meters.setdefault(line.attempt_id, {})[line.meter] = int(line.quantity), int(line.amount)
    found = []
    for row in rows:
        counted = meters.get(row.attempt_id, {})
        if row.usage_source is None or row.prompt_tokens is None or BOUND in counted:
            continue
        seq, added = fixes.get(row.attempt_id, (0, 0))
        values = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping
        found.append(
            _Known(
                reservation=Reservation(**{column.name: values[column.name] for column in RESERVATION}, price=None),
                usage=_usage(row, counted),
                amount_nanousd=row.amount_nanousd + added if row.amount_nanousd is not None else added if seq else None,
                seq=seq,
                meters=counted,
            )
        )
    return found


def _usage(row: Row[Any], counted: Mapping[str, tuple[int, int]]) -> Usage:
    def count(meter: str) -> int:
        return counted.get(meter, (0, 0))[0]

    return Usage(
        prompt_tokens=row.prompt_tokens,
        completion_tokens=row.completion_tokens,
        cached_prompt_tokens=row.cached_prompt_tokens,
        cache_write_tokens=row.cache_write_tokens,
        reasoning_tokens=row.reasoning_tokens,
        audio_prompt_tokens=count("audio_input"),
        audio_completion_tokens=count("audio_output"),
        images=count("image"),
        batch=count("batch_input") > 0 or count("batch_output") > 0,
        priority=any(count(f"priority_{meter}") > 0 for meter in ("input", "cached_input", "output")),
        source=row.usage_source,
    )
