"""Finds what dead processes left open in the ledger.

Knows the statements that look for it. Knows neither who is dead nor what is made of it.
"""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, select, update

from gateway.database import Database
from gateway.ledger.billing import Reservation
from gateway.ledger.liveness import Identity
from gateway.ledger.tables import attempts, closings, requests, settlements, writers

_DAY_US = 86_400_000_000

RESERVATION = tuple(
    attempts.c[name]
    for name in (
        *("attempt_id", "decision_id", "tenant_id", "team_id", "key_id", "kind", "stage", "model"),
        *("deployment", "cause", "provider", "policy"),
        *("opened_us", "reserved_nanousd", "price_version", "spooled"),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterRow:
    """A process that writes, or wrote, to this ledger.

    settled_until_us : no attempt opened before this moment was open when the process was last seen; None: not told.
    """

    writer_id: str
    started_us: int
    seen_us: int
    settled_until_us: int | None
    stopped: bool
    identity: Identity


class Orphans:
    """Reads one ledger for one process, whose own rows are never orphans."""

    def __init__(self, database: Database, writer_id: str) -> None:
        self._database, self._writer_id = database, writer_id

    async def unswept(self) -> tuple[WriterRow, ...]:
        """Every other process whose orphans have not been looked for since it last wrote."""
        others = writers.c.swept_us.is_(None) & (writers.c.writer_id != self._writer_id)
        async with self._database.read() as connection:
            rows = (await connection.execute(select(writers).where(others))).mappings().all()
        return tuple(
            WriterRow(
                writer_id=row["writer_id"],
                started_us=row["started_us"],
                seen_us=row["seen_us"],
                settled_until_us=row["settled_until_us"],
                stopped=row["stopped_us"] is not None,
                identity=Identity(place=row["place"], process=row["process"]),
            )
            for row in rows
        )

    async def attempts(self, writer: WriterRow, limit: int) -> tuple[Reservation, ...]:
        """Some of the attempts of a dead process that have no settlement."""
        query = (
            select(*RESERVATION)
            .outerjoin(settlements, settlements.c.attempt_id == attempts.c.attempt_id)
            .where(_of(writer, attempts.c.writer_id, attempts.c.opened_us), settlements.c.attempt_id.is_(None))
            .limit(limit)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return tuple(Reservation(**row, price=None) for row in rows)

    async def requests(self, writer: WriterRow, limit: int) -> tuple[str, ...]:
        """Some of the requests of a dead process whose end nobody wrote down."""
        query = (
            select(requests.c.decision_id)
            .outerjoin(closings, closings.c.decision_id == requests.c.decision_id)
            .where(_of(writer, requests.c.writer_id, requests.c.created_us), closings.c.decision_id.is_(None))
            .limit(limit)
        )
        async with self._database.read() as connection:
            return tuple((await connection.execute(query)).scalars().all())

    async def mark_swept(self, writer: WriterRow, now_us: int) -> None:
        """Say that a process left nothing open, unless it has written since."""
        same = (writers.c.writer_id == writer.writer_id) & (writers.c.seen_us == writer.seen_us)
        async with self._database.write() as connection:
            await connection.execute(update(writers).where(same).values(swept_us=now_us))


def _of(writer: WriterRow, writer_id: ColumnElement[str], moment_us: ColumnElement[int]) -> ColumnElement[bool]:
    # by time first, which is indexed; a day of grace for a clock that was set back
    since = writer.started_us if writer.settled_until_us is None else writer.settled_until_us
    return (moment_us >= since - _DAY_US) & (writer_id == writer.writer_id)
