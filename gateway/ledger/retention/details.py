"""Details that have had their time go: tags, what verifiers, plans and reviewers said. Money stays.

A row keeps everything else, and a link of the hash chain says what is left of it. Only what is as it was written is
touched, so that no change of before is hidden by it. Sums by tag stay, in the rollups, which are brought up to date
first; what is corrected later counts there as without tags.
Knows which columns are details. Knows no setting.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Table, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.database import Database
from gateway.ledger import faults
from gateway.ledger.chain import digest_of, digests, inflate, key_of
from gateway.ledger.group import Group, Scrub
from gateway.ledger.retention.spans import made_from
from gateway.ledger.retention.turn import Turn
from gateway.ledger.reviews import reviews
from gateway.ledger.rollups.tables import rollup_state
from gateway.ledger.store import LedgerStore
from gateway.ledger.tables import closings, links, requests, retention_state, settlements

_PAGE = 500
_log = logging.getLogger("spillway.ledger")

_DETAILS: Sequence[tuple[Table, str, str, Mapping[str, Any]]] = (
    (requests, "decision_id", "dec", {"tags": "{}"}),
    (closings, "decision_id", "dec", {"steps": None}),
    (settlements, "attempt_id", "att", {"verdicts": None}),
)


class Details:
    """Of one ledger, as one process drops them."""

    def __init__(self, database: Database, store: LedgerStore, turn: Turn) -> None:
        self._database, self._store, self._turn = database, store, turn
        self._manifest: tuple[int, Mapping[tuple[str, str], str]] = (0, {})

    async def drop(self, since_us: int, until_us: int) -> int:
        """Of rows made in the stretch, which is rolled up. Returns of how many, once it is noted that none are left.

        Raises Overtaken, DatabaseUnavailable or DatabaseError; what was done stays done.
        """
        async with self._database.write() as connection:
            await self._turn.take(connection)
            later = rollup_state.c.tags_since_us < until_us
            moved = {"turn": rollup_state.c.turn + 1, "tags_since_us": until_us}  # who rolls up tags now, stops
            await connection.execute(update(rollup_state).where(later).values(moved))
        self._turn.taken()
        faults.reach("tags-folded")
        dropped = 0
        for table, key, prefix, empty in _DETAILS:
            dropped += await self._drop_from(table, table.c[key], empty, prefix, since_us, until_us)
        async with self._database.write() as connection:
            await self._turn.take(connection)
            # unless something older came in meanwhile: then it is looked at again
            unmoved = retention_state.c.details_from_us == since_us
            await connection.execute(update(retention_state).where(unmoved).values(details_from_us=until_us))
            old = reviews.c.decision_id < made_from("dec", until_us), reviews.c.note != ""
            await connection.execute(update(reviews).where(*old).values(note=""))
        self._turn.taken()
        faults.reach("details-noted")
        return dropped

    async def _drop_from(
        self, table: Table, key: ColumnElement[str], empty: Mapping[str, Any], prefix: str, since_us: int, until_us: int
    ) -> int:
        dropped, last = 0, made_from(prefix, since_us)
        held = [
            table.c[name] != value if value is not None else table.c[name].is_not(None) for name, value in empty.items()
        ]
        query = select(table).where(key < made_from(prefix, until_us), *held).order_by(key).limit(_PAGE)
        while True:
            async with self._database.read() as connection:
                rows = (await connection.execute(query.where(key > last))).mappings()
                page = [{f"{name}": value for name, value in row.items()} for row in rows]  # plain strings
                sound = [row for row in page if await self._is_as_written(connection, table, row)]
            if sound:
                scrub = Scrub(table=table, left=[{**row, **empty} for row in sound], columns=tuple(empty))
                await self._store.write(Group(scrubs=[scrub], also=self._turn.take), again=False)
                self._turn.taken()
            dropped += len(sound)
            if len(page) < _PAGE:
                return dropped
            last = page[-1][key.name]

    async def _is_as_written(self, connection: AsyncConnection, table: Table, row: Mapping[str, Any]) -> bool:
        number = row["link"]
        if number == 0 or row["scrubbed"] is not None:  # from before there were chains; or it says so itself
            return bool(number == 0)
        if self._manifest[0] != number:
            found = (await connection.execute(select(links.c.manifest).where(links.c.link == number))).first()
            self._manifest = number, {} if found is None else digests(inflate(found.manifest))
        if self._manifest[1].get((table.name, key_of(table, row))) == digest_of(row):
            return True
        _log.error("%s %s is not as it was written: it is left as it is", table.name, key_of(table, row))
        return False
