"""Whole days, added up from their hours: what keeps sums over months as quick as sums over days.

A day is complete when all its hours are rolled up; rolling one of them up again makes it incomplete until it is added
up anew, and until then its hours are read. Knows which days are which. Knows no raw row.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Table, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.ledger.rollups.sources import DAY_US, grouped
from gateway.ledger.rollups.tables import (
    ATTEMPT_DIMENSIONS,
    ATTEMPT_MEASURES,
    REQUEST_DIMENSIONS,
    REQUEST_MEASURES,
    REQUEST_SQUARES,
    attempt_days,
    attempt_rollups,
    request_days,
    request_rollups,
    rollup_days,
)

DAYS_OF = {attempt_rollups: attempt_days, request_rollups: request_days}
_ADDED: dict[Table, tuple[Sequence[str], Sequence[str]]] = {
    attempt_rollups: (ATTEMPT_DIMENSIONS, (*ATTEMPT_MEASURES, "latency_s")),
    request_rollups: (REQUEST_DIMENSIONS, (*REQUEST_MEASURES, *REQUEST_SQUARES)),
}


async def spoil(connection: AsyncConnection, hour: int) -> None:
    """Its day is to be added up anew."""
    day = hour - hour % DAY_US
    known = update(rollup_days).where(rollup_days.c.day_us == day).values(complete=False)
    if not (await connection.execute(known)).rowcount:
        await connection.execute(insert(rollup_days), {"day_us": day, "complete": False})


async def spoilt(connection: AsyncConnection, until_us: int) -> Sequence[int]:
    """Days that ended by then and are to be added up."""
    query = select(rollup_days.c.day_us).where(rollup_days.c.complete.is_(False))
    found = await connection.execute(query.where(rollup_days.c.day_us <= until_us - DAY_US).order_by("day_us"))
    return found.scalars().all()


async def complete(connection: AsyncConnection, first: int, last: int, changed: Iterable[int]) -> tuple[int, ...]:
    """Days that can be read whole: within ``[first, last)``, and none of their hours among the changed ones."""
    within = (rollup_days.c.day_us >= first, rollup_days.c.day_us <= last - DAY_US, rollup_days.c.complete.is_(True))
    found = (await connection.execute(select(rollup_days.c.day_us).where(*within).order_by("day_us"))).scalars()
    touched = {hour - hour % DAY_US for hour in changed}
    return tuple(day for day in found if day not in touched)


async def added_up(connection: AsyncConnection, day: int) -> dict[Table, list[dict[str, Any]]]:
    """The rows of a day, made of those of its hours."""
    found: dict[Table, list[dict[str, Any]]] = {}
    for hours, days in DAYS_OF.items():
        query = grouped(hours, *_ADDED[hours]).where(hours.c.hour_us >= day, hours.c.hour_us < day + DAY_US)
        rows = (await connection.execute(query)).mappings()
        found[days] = [{"hour_us": day, "seq": n, **row} for n, row in enumerate(rows)]
    return found


async def replace(connection: AsyncConnection, day: int, rows: dict[Table, list[dict[str, Any]]]) -> None:
    """Write them in place of what was there; the day is complete."""
    for table, listed in rows.items():
        await connection.execute(delete(table).where(table.c.hour_us == day))
        if listed:
            await connection.execute(insert(table), listed)
    await connection.execute(update(rollup_days).where(rollup_days.c.day_us == day).values(complete=True))


def around(first: int, last: int, days: Sequence[int]) -> list[tuple[int, int | None]]:
    """What is left of ``[first, last)`` beside these days, which are in order.

    >>> around(0, 5 * DAY_US, [DAY_US, 2 * DAY_US]) == [(0, DAY_US), (3 * DAY_US, 5 * DAY_US)]
    True
    """
    left: list[tuple[int, int | None]] = []
    for day in days:
        if first < day:
            left.append((first, day))
        first = day + DAY_US
    if first < last:
        left.append((first, last))
    return left
