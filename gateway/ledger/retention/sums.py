"""What the rollups say of months that were dropped: nothing else does, so that it is put under the hash chain.

Knows the rollups' tables. Drops nothing.
"""

import hashlib
from collections.abc import AsyncGenerator
from typing import Any

import orjson
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.ledger.retention.chains import NotAsWritten
from gateway.ledger.rollups.sources import DAY_US
from gateway.ledger.rollups.tables import (
    CAME_LATER,
    attempt_days,
    attempt_rollups,
    request_days,
    request_rollups,
    rollup_days,
)
from gateway.ledger.tables import kept_days

Row = dict[str, Any]


async def new_kept_days(connection: AsyncConnection, before: int, raw_since_us: int) -> list[Row]:
    """One for each day that has hours before ``raw_since_us``. Raises NotAsWritten where an older one does not hold."""
    newest = (
        await connection.execute(select(kept_days.c.before_month).order_by(kept_days.c.before_month.desc()))
    ).first()
    if newest is not None:
        async for day, _ in changed_days(connection, newest.before_month):
            raise NotAsWritten(f"the sums of day {day} were changed; `spillway ledger verify` says which")
    query = select(rollup_days.c.day_us).where(rollup_days.c.day_us < raw_since_us).order_by(rollup_days.c.day_us)
    rows = []
    for day in (await connection.execute(query)).scalars().all():
        until = min(day + DAY_US, raw_since_us)
        digest = await _digest(connection, day, until)
        rows.append({"day_us": day, "before_month": before, "until_us": until, "digest": digest})
    return rows


async def changed_days(connection: AsyncConnection, before: int) -> AsyncGenerator[tuple[int, int]]:
    """Days of which the rollups do not tell what they told, and the links that say so."""
    query = select(kept_days).where(kept_days.c.before_month == before).order_by(kept_days.c.day_us)
    for row in (await connection.execute(query)).all():
        if await _digest(connection, row.day_us, row.until_us) != row.digest:
            yield row.day_us, row.link


async def _digest(connection: AsyncConnection, day: int, until: int) -> str:
    digest = hashlib.sha256()
    whole = (attempt_days, request_days) if until - day == DAY_US else ()
    for table in (attempt_rollups, request_rollups, *whole):
        query = select(table).where(table.c.hour_us >= day, table.c.hour_us < until)
        later = sum(name in CAME_LATER for name in table.c.keys())  # noqa: SIM118 - its columns, not their names
        for row in await connection.execute(query.order_by(table.c.hour_us, table.c.tag_name, table.c.seq)):
            values = tuple(row)
            first, last = values[: len(values) - later], values[len(values) - later :]
            digest.update(orjson.dumps([table.name, *first, *(last if any(last) else ())]))  # older digests hold
    return digest.hexdigest()
