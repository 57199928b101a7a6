"""What self-hosted capacity cost beyond what calls were charged for it: the idle part, hour by hour.

For every hour that is over, what is owed to a pool's provider is then exactly what its GPUs cost: the charges of calls
and the idle part together. What is settled late within an hour that was booked is made up for in the same way; so is a
changed price of the capacity, for the last 48 hours that were booked.
Knows entries of the ledger and an hourly price. Knows no engine and no GPU.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime

from sqlalchemy import case, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.background import in_background
from gateway.database import Database, DatabaseError, DatabaseUnavailable
from gateway.ledger.group import Group
from gateway.ledger.liveness import Identity
from gateway.ledger.postings import Posting, of_idle
from gateway.ledger.store import LedgerStore
from gateway.ledger.tables import entries
from router.ids import new_id

_HOUR_US = 3_600_000_000
_GRACE_US = 300_000_000  # for settlements that are on their way when an hour ends
_LATE_HOURS = 48  # booked hours that are looked at again
_log = logging.getLogger("spillway.ledger")


class IdleBooks:
    """hourly : by provider, what its capacity costs in an hour, in nano-USD; asked every time."""

    def __init__(self, database: Database, hourly: Callable[[], Mapping[str, int]], *, every_s: float = 300.0) -> None:
        self._database, self._hourly, self._every_s = database, hourly, every_s
        self._store = LedgerStore(database, new_id("wr"))
        self._registered = False
        self._begun_us = -(-_now_us() // _HOUR_US) * _HOUR_US  # the first whole hour of this process

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """While hours are booked as they end."""
        async with in_background(self._run(), "idle"):
            yield

    async def book(self, now_us: int) -> int:
        """Book every hour that is over, and say how many entries that took. Raises as the database does."""
        made: list[Posting] = []
        async with self._database.read() as connection:
            for provider, hourly in sorted(self._hourly().items()):
                made += await self._due(connection, provider, hourly, now_us)
        if not made:
            return 0
        if not self._registered:
            await self._store.register(Identity.of_this_process(), _now_us())
            self._registered = True
        await self._store.write(Group(postings=made), again=False)
        return len(made)

    async def _due(self, connection: AsyncConnection, provider: str, hourly: int, now_us: int) -> list[Posting]:
        booked = select(func.min(entries.c.posted_us), func.max(entries.c.posted_us)).where(
            entries.c.provider == provider, entries.c.event == "allocate"
        )
        first, last = (await connection.execute(booked)).one()
        begins = self._begun_us if first is None else max(_hour(first), _hour(last) - _LATE_HOURS * _HOUR_US)
        ends = (now_us - _GRACE_US) // _HOUR_US * _HOUR_US
        hour = entries.c.posted_us - entries.c.posted_us % _HOUR_US
        owed = case((entries.c.credit == "provider", entries.c.amount_nanousd), else_=-entries.c.amount_nanousd)
        query = (
            select(
                hour.label("hour"),
                func.sum(owed).label("owed"),
                func.max(case((entries.c.event == "allocate", entries.c.seq), else_=-1)).label("seq"),
            )
            .where(entries.c.provider == provider, (entries.c.credit == "provider") | (entries.c.debit == "provider"))
            .where(entries.c.posted_us >= begins, entries.c.posted_us < ends)
            .group_by(hour)
        )
        found = {int(row.hour): (int(row.owed), int(row.seq)) for row in await connection.execute(query)}
        due = []
        for start in range(begins, ends, _HOUR_US):
            owing, seq = found.get(start, (0, -1))
            if owing != hourly:
                subject, end = _subject(provider, start), start + _HOUR_US - 1
                due.append(of_idle(subject, seq + 1, end, hourly - owing, provider))
        return due

    async def _run(self) -> None:
        while True:
            try:
                await self.book(_now_us())
            except (DatabaseUnavailable, DatabaseError) as error:  # or another process booked the same hour
                _log.info("idle capacity is booked later: %s", error)
            await asyncio.sleep(self._every_s)


def _subject(provider: str, hour_us: int) -> str:
    """The same in every process, so that no hour is booked twice; it carries its month as other identifiers do."""
    return f"{_subjects(hour_us)}{hashlib.sha256(provider.encode()).hexdigest()[:20]}"


def subjects_of(hour: datetime) -> str:
    """Where the identifiers of what is booked for an hour begin: those of later hours sort after it."""
    return _subjects(int(hour.timestamp()) * 1_000_000)


def _subjects(hour_us: int) -> str:
    return f"idle_{hour_us // 1000:012x}"


def _hour(moment_us: int) -> int:
    return int(moment_us) // _HOUR_US * _HOUR_US


def _now_us() -> int:
    return time.time_ns() // 1000
