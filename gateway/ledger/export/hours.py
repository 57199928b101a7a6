"""The ledger by the hour, from the rollups and what they do not hold yet: sums that are exact at any moment.

Knows how a long stretch is read day by day. How each is read is known to the rollups.
"""

from collections.abc import AsyncGenerator, Sequence

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.database import Database
from gateway.ledger.export.columns import Column, Record, columns, usd_of
from gateway.ledger.reports import Span
from gateway.ledger.rollups.reading import Sums, coverage
from gateway.ledger.rollups.sources import HOUR_US
from gateway.ledger.rollups.tables import ATTEMPT_DIMENSIONS, ATTEMPT_MEASURES, attempt_rollups
from gateway.ledger.tables import attempts

_DAY_US = 24 * HOUR_US
_DIMENSIONS = ("hour_us", *(name for name in ATTEMPT_DIMENSIONS if not name.startswith("tag_")))

HOUR_COLUMNS = (
    *columns(hour="moment", tenant_id="text", team_id="text", key_id="text", policy="text", kind="text", stage="whole"),
    *columns(model="text", provider="text", state="text"),
    *(Column(name, "whole") for name in ATTEMPT_MEASURES),
    *columns(latency_s="number", spent_usd="usd"),
)


async def hour_pages(database: Database, span: Span) -> AsyncGenerator[Sequence[Record]]:
    """Attempts by the hour in which they were opened and by everything that they can be told apart by, but tags."""
    where = [*span.attempt_conditions(), *span.tag_conditions()]
    tag = None if span.tag is None else span.tag[0]
    measures = (*ATTEMPT_MEASURES, "latency_s")
    spent = ATTEMPT_MEASURES.index("spent_nanousd")
    since = span.since_us
    while True:
        async with database.read() as connection:
            first = await _first(connection, since)
            if first is None or (span.until_us is not None and first >= span.until_us):
                return
            since = first if since is None else max(first, since)
            until = since - since % _DAY_US + _DAY_US
            day = until if span.until_us is None else min(until, span.until_us)
            sums = Sums(connection, await coverage(connection, since, day), sqlite=database.is_sqlite)
            found = await sums.of(attempt_rollups, _DIMENSIONS, measures, where, tag)
        if found:
            in_order = sorted(found.items(), key=lambda item: tuple(str(part) for part in item[0]))
            yield [_record(key, [values[name] for name in measures], spent) for key, values in in_order]
        since = until


def _record(key: tuple[object, ...], values: list[int | float], spent: int) -> Record:
    whole = [int(value) for value in values[:-1]]
    return (*key, *whole, float(values[-1]), usd_of(whole[spent]))


async def _first(connection: AsyncConnection, since_us: int | None) -> int | None:
    """When the first attempt was made from then on, to the hour where only the hour is known any more."""
    since = 0 if since_us is None else since_us
    raw = select(func.min(attempts.c.opened_us)).where(attempts.c.opened_us >= since)
    rolled = select(func.min(attempt_rollups.c.hour_us)).where(attempt_rollups.c.hour_us >= since - since % HOUR_US)
    moments = [(await connection.execute(query)).scalar() for query in (raw, rolled)]
    return min((moment for moment in moments if moment is not None), default=None)
