"""Whole months of money go, after the rollups and a checkpoint of every chain have taken their place.

In this order, each step committed before the next, so that whoever was killed is continued: nothing is added to the
months any more; checkpoints stand and reports read their hours alone; rows go, then links; that they are gone is noted.
Knows the order and what may be read where. Knows no setting.
"""

from collections.abc import Sequence

from sqlalchemy import Delete, Table, delete, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.database import Database
from gateway.ledger import faults
from gateway.ledger.chain import link_number
from gateway.ledger.group import Group
from gateway.ledger.partitions import drop_partitions
from gateway.ledger.retention.chains import new_checkpoints
from gateway.ledger.retention.months import droppable
from gateway.ledger.retention.spans import first_moment_us, kept_since_us, made_from
from gateway.ledger.retention.sums import new_kept_days
from gateway.ledger.retention.turn import Overtaken, State, Turn, read_state
from gateway.ledger.rollups.fold import Rollups
from gateway.ledger.rollups.tables import rollup_state
from gateway.ledger.store import LedgerStore
from gateway.ledger.tables import (
    BY_MONTH,
    attempts,
    checkpoints,
    closings,
    corrections,
    entries,
    kept_days,
    line_items,
    links,
    requests,
    settlements,
)

_BATCH = 1000
_REFERENCES_FIRST: Sequence[tuple[Table, str, Sequence[str]]] = (
    (line_items, "attempt_id", ("att",)),
    (corrections, "attempt_id", ("att",)),
    (entries, "subject_id", ("att", "idle")),
    (settlements, "attempt_id", ("att",)),
    (attempts, "attempt_id", ("att",)),
    (closings, "decision_id", ("dec",)),
    (requests, "decision_id", ("dec",)),
)
_UNREFERENCED = (line_items, corrections, entries, closings)


class Money:
    """Of one ledger, as one process drops it. Everything raises Overtaken, DatabaseUnavailable or DatabaseError."""

    def __init__(self, database: Database, store: LedgerStore, turn: Turn) -> None:
        self._database, self._store, self._turn = database, store, turn

    async def drop(self, before: int, limit_us: int, now_us: int) -> bool:
        """Months before this one, of those that ended before the limit; False if there is a reason not to by now."""
        async with self._database.write() as connection:
            await self._turn.take(connection, announced_month=before)
        self._turn.taken()
        faults.reach("drop-announced")
        async with self._database.read() as connection:  # of what was let pass before the announcement
            still = await droppable(connection, limit_us)
        since = kept_since_us(before)
        if still.before is None or still.before < before or not await rolled_up(self._database, since, now_us):
            await self._withdraw()
            return False
        async with self._database.read() as connection:
            turn = (await connection.execute(select(rollup_state.c.turn))).scalar_one()
            chains = await new_checkpoints(connection, before)
            days = await new_kept_days(connection, before, since)

        async def also(connection: AsyncConnection) -> None:
            await self._turn.take(connection)
            moved = update(rollup_state).where(rollup_state.c.turn == turn).values(turn=turn + 1, raw_since_us=since)
            if (await connection.execute(moved)).rowcount != 1:
                raise Overtaken  # something was rolled up meanwhile
            for table in (checkpoints, kept_days):
                await connection.execute(delete(table).where(table.c.before_month < before))

        await self._store.write(Group(checkpoints=chains, kept_days=days, also=also), again=False)
        self._turn.taken()
        faults.reach("checkpointed")
        await self.finish(before)
        return True

    async def finish(self, before: int) -> None:
        """What is left to do behind checkpoints that stand; doing it again changes nothing."""
        if not self._database.is_sqlite:
            await drop_partitions(self._database, _UNREFERENCED, before)
        for table, key, prefixes in _REFERENCES_FIRST:
            for prefix in prefixes:
                await self._delete_rows(
                    table, key, made_from(prefix, 0), made_from(prefix, first_moment_us(before)), before
                )
        faults.reach("rows-dropped")
        async with self._database.read() as connection:
            query = select(checkpoints.c.writer_number, checkpoints.c.through)
            ends = (await connection.execute(query.where(checkpoints.c.before_month == before))).all()
        for writer, through in ends:
            await self._delete_links(link_number(writer, 0), through)
        faults.reach("links-dropped")
        if not self._database.is_sqlite:
            await drop_partitions(self._database, BY_MONTH, before, empty=True)
        async with self._database.write() as connection:
            await self._turn.take(connection, dropped_month=before)
        self._turn.taken()
        faults.reach("drop-noted")

    async def is_begun(self, state: State) -> bool:
        """Whether checkpoints stand whose rows are still to go."""
        if state.announced_month <= state.dropped_month:
            return False
        async with self._database.read() as connection:  # both are written together
            since = (await connection.execute(select(rollup_state.c.raw_since_us))).scalar_one()
        return bool(since == kept_since_us(state.announced_month))

    async def _withdraw(self) -> None:
        async with self._database.write() as connection:
            state = await read_state(connection)
            await self._turn.take(connection, announced_month=state.dropped_month)
        self._turn.taken()

    async def _delete_rows(self, table: Table, name: str, low: str, high: str, before: int) -> None:
        keys = list(table.primary_key)
        old = (table.c[name] >= low, table.c[name] < high, table.c.month < before, table.c.month > 0)
        some = select(*keys).where(*old).order_by(table.c[name]).limit(_BATCH)
        await self._repeat(delete(table).where(tuple_(*keys).in_(some)))

    async def _delete_links(self, first: int, through: int) -> None:
        old = select(links.c.link).where(links.c.link > first, links.c.link <= through).order_by(links.c.link)
        await self._repeat(delete(links).where(links.c.link.in_(old.limit(_BATCH))))

    async def _repeat(self, statement: Delete) -> None:
        """In batches, so that nobody who writes waits for long."""
        while True:
            async with self._database.write() as connection:
                await self._turn.take(connection)
                count = (await connection.execute(statement)).rowcount
            self._turn.taken()
            if count < _BATCH:
                return


async def rolled_up(database: Database, until_us: int, now_us: int) -> bool:
    """Bring the rollups up to date; whether they say all that there is to say of the time before."""
    rollups = Rollups(database)
    for _ in range(100):  # a fold looks at so many links at most
        folded = await rollups.fold(now_us)
        if folded.busy:
            return False
        if folded.complete:
            break
    async with database.read() as connection:
        return bool((await connection.execute(select(rollup_state.c.rolled_until_us))).scalar_one() >= until_us)
