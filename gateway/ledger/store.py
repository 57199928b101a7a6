"""The ledger's statements: groups of new rows in, each exactly once, linked into this process' chain.

A link's number is what makes a repeated commit harmless: whether a commit that was not confirmed happened is asked of
the database by it. Knows tables, transactions and the chain. Knows no queue, no price and no decision about what to
write.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import ColumnElement, bindparam, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.database import Database, DatabaseError, DatabaseUnavailable
from gateway.ledger import faults
from gateway.ledger.billing import Settlement
from gateway.ledger.chain import NOTHING_BEFORE, Link, forge, link_number
from gateway.ledger.group import Group, Scrub
from gateway.ledger.liveness import Identity
from gateway.ledger.reservations import NoLimits, Reservations
from gateway.ledger.retention.latecomers import admit
from gateway.ledger.rows import clean, price_row
from gateway.ledger.tables import attempts, closings, links, price_versions, requests, settlements, writers

Refusals = Mapping[str, Exception]
"""Why an attempt's opening was not written, by attempt."""

_MOST_PER_QUERY = 500  # identifiers in one IN (…)
_REMEMBERED = 16  # groups whose commit can be asked for again
_MOST_NAMESAKES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tried:
    """A commit, sure or not."""

    group: Group
    link: Link
    refusals: Refusals


class LedgerStore:
    """The ledger in one database, as one process writes it. Groups are written one at a time."""

    def __init__(self, database: Database, writer_id: str, reservations: Reservations | None = None) -> None:
        self._database, self.writer_id = database, writer_id
        self._reservations = reservations or NoLimits()
        self._number = 0  # given by ``register``
        self._position, self._hash = 0, NOTHING_BEFORE  # of the newest link
        self._lock = asyncio.Lock()
        self._unsure: list[_Tried] = []  # all at the position after the newest link; at most one of them happened
        self._done: OrderedDict[int, _Tried] = OrderedDict()  # by the group's identity
        self._priced: set[str] = set()  # versions of prices whose content is on record

    async def write(self, group: Group, *, again: bool) -> Refusals:
        """Commit a group and return which of its openings were refused; one that was committed is not written again.

        again : some of its rows may be there already, from elsewhere; those stay as they are.
        Raises DatabaseUnavailable (nothing or everything is written: ``landed`` knows) or DatabaseError (nothing).
        """
        async with self._lock:
            await self._make_sure()
            if id(group) in self._done:
                return self._done[id(group)].refusals
            tried: _Tried | None = None
            try:
                async with self._database.write() as connection:
                    faults.reach("transaction-begun")
                    new = await self._only_new(connection, group, again)
                    tried = await self._insert(connection, group, new)
            except (DatabaseUnavailable, asyncio.CancelledError):
                if tried is not None:
                    self._unsure.append(tried)
                raise
            faults.reach("committed")
            self._happened(tried)
            return tried.refusals

    async def landed(self, group: Group) -> Refusals | None:
        """What was refused of a group whose commit was not confirmed; None if it did not happen."""
        async with self._lock:
            await self._make_sure()
            return self._done[id(group)].refusals if id(group) in self._done else None

    async def register(self, identity: Identity, now_us: int) -> None:
        """Say that this process writes from now on."""
        for tries_left in reversed(range(_MOST_NAMESAKES)):
            try:
                await self._register(identity, now_us)
            except DatabaseError:  # another process took the number in the same moment
                if not tries_left:
                    raise
            else:
                return

    async def renew(self, now_us: int, *, settled_until_us: int | None = None, stopped: bool = False) -> None:
        """Say that this process still writes, or no longer does, and how far back attempts of its can be open."""
        values = {
            "seen_us": now_us,
            "settled_until_us": settled_until_us,
            "swept_us": None,
            "stopped_us": now_us if stopped else None,
        }
        async with self._database.write() as connection:
            await connection.execute(update(writers).where(writers.c.writer_id == self.writer_id).values(values))

    async def _register(self, identity: Identity, now_us: int) -> None:
        row = {
            "writer_id": self.writer_id,
            "started_us": now_us,
            "seen_us": now_us,
            "place": clean(identity.place, 1024),
            "process": clean(identity.process, 256),
        }
        async with self._database.write() as connection:
            known = select(writers.c.number).where(writers.c.writer_id == self.writer_id)
            number: int | None = (await connection.execute(known)).scalar()
            if number is None:
                newest = (await connection.execute(select(func.max(writers.c.number)))).scalar()
                number = (newest or 0) + 1
                await connection.execute(insert(writers), {**row, "number": number})
        self._number = number

    async def _make_sure(self) -> None:
        """Find out which of the commits that were not confirmed happened."""
        if not self._unsure:
            return None
        query = select(links.c.hash).where(links.c.link == self._unsure[0].link.number)
        async with self._database.read() as connection:
            found = (await connection.execute(query)).scalars().all()
        for tried in self._unsure:
            if tried.link.hash in found:
                return self._happened(tried)
        return None

    def _happened(self, tried: _Tried) -> None:
        self._position += 1
        self._hash = tried.link.hash
        self._priced.update(tried.group.prices)
        self._unsure.clear()
        self._done[id(tried.group)] = tried  # which keeps the group, and with it its identity
        while len(self._done) > _REMEMBERED:
            self._done.popitem(last=False)

    async def _insert(self, connection: AsyncConnection, group: Group, new: Group) -> _Tried:
        if new.also is not None:
            await new.also(connection)
        await admit(connection, new)
        refusals = await self._reservations.post(connection, new.reservations, new.movements)
        faults.reach("counters-posted")
        await self._record_prices(connection, new)
        rows = new.rows(self.writer_id, without=refusals)
        left = [(scrub.table, scrub.left) for scrub in new.scrubs]
        link = forge(link_number(self._number, self._position + 1), self._hash, rows, left)
        for table, values in rows:
            for value in values:
                value["link"] = link.number
            await connection.execute(insert(table), values)
            faults.reach(f"{table.name}-inserted")
        for scrub in new.scrubs:
            await _scrub(connection, scrub, link.number)
        now = time.time_ns()
        committed = {
            "link": link.number,
            "month": int(time.strftime("%Y%m", time.gmtime(now // 1_000_000_000))),
            "committed_us": now // 1000,
            "rows": link.rows,
            "previous": link.previous,
            "hash": link.hash,
            "manifest": link.manifest,
        }
        await connection.execute(insert(links), committed)
        faults.reach("link-inserted")
        return _Tried(group=group, link=link, refusals=refusals)

    async def _record_prices(self, connection: AsyncConnection, group: Group) -> None:
        """What a price says is written with the first amount that refers to it, by whichever process is first."""
        fresh = sorted(
            ((version, price) for version, price in group.prices.items() if version not in self._priced),
            key=lambda item: item[0],  # in one order, so that no two processes wait for each other
        )
        if fresh:
            now_us = time.time_ns() // 1000
            once = self._database.insert_once(price_versions)
            await connection.execute(once, [price_row(price, now_us) for _, price in fresh])

    async def _only_new(self, connection: AsyncConnection, group: Group, again: bool) -> Group:
        """Without what is there already (only looked for ``again``), nor endings of attempts that never were."""
        if again:
            group = await _without_known(connection, group)
        doubtful = [settlement.attempt_id for _, settlement in group.settlements if settlement.if_opened]
        if not doubtful:
            return group
        opened = {item.attempt_id for item in group.reservations}
        opened |= await _present(connection, attempts.c.attempt_id, doubtful)

        def stands(settlement: Settlement) -> bool:
            return not settlement.if_opened or settlement.attempt_id in opened

        return replace(group, settlements=[item for item in group.settlements if stands(item[1])])


async def _scrub(connection: AsyncConnection, scrub: Scrub, number: int) -> None:
    keys = [column.name for column in scrub.table.primary_key]
    emptied = update(scrub.table).where(*(scrub.table.c[key] == bindparam(f"key_{key}") for key in keys))
    emptied = emptied.values({name: bindparam(f"new_{name}") for name in scrub.columns} | {"scrubbed": number})
    await connection.execute(
        emptied,
        [
            {f"key_{key}": row[key] for key in keys} | {f"new_{name}": row[name] for name in scrub.columns}
            for row in scrub.left
        ],
    )
    faults.reach("details-scrubbed")


async def _without_known(connection: AsyncConnection, group: Group) -> Group:
    asked = await _present(connection, requests.c.decision_id, [item.decision_id for item in group.requests])
    opened = await _present(connection, attempts.c.attempt_id, [item.attempt_id for item in group.reservations])
    settled = await _present(connection, settlements.c.attempt_id, [item.attempt_id for _, item in group.settlements])
    closed = await _present(connection, closings.c.decision_id, [item.decision_id for _, item in group.closings])
    return replace(
        group,
        requests=[item for item in group.requests if item.decision_id not in asked],
        reservations=[item for item in group.reservations if item.attempt_id not in opened],
        settlements=[item for item in group.settlements if item[1].attempt_id not in settled],
        closings=[item for item in group.closings if item[1].decision_id not in closed],
    )


async def _present(connection: AsyncConnection, column: ColumnElement[str], wanted: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for start in range(0, len(wanted), _MOST_PER_QUERY):
        query = select(column).where(column.in_(wanted[start : start + _MOST_PER_QUERY]))
        found.update((await connection.execute(query)).scalars())
    return found
