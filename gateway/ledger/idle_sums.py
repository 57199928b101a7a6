"""What self-hosted capacity cost beyond its calls in a stretch of time, by provider. Knows the ledger's entries."""

from datetime import datetime

from sqlalchemy import case, func, select

from gateway.database import Database
from gateway.ledger.idle import subjects_of
from gateway.ledger.rollups.statements import told_as
from gateway.ledger.tables import entries


async def idle_nanousd(
    database: Database, since: datetime, until: datetime, told: list[str] | None = None
) -> dict[str, int]:
    """Booked for the hours that begin in ``[since, until)``; negative where calls were charged more than it cost."""
    first, last = subjects_of(since), subjects_of(until)
    amount = case((entries.c.debit == "gpu_idle", entries.c.amount_nanousd), else_=-entries.c.amount_nanousd)
    query = (
        select(entries.c.provider, func.sum(amount))
        .where(entries.c.subject_id >= first, entries.c.subject_id < last, entries.c.event == "allocate")
        .group_by(entries.c.provider)
    )
    async with database.read() as connection:
        told_as(told, connection, query)
        return {row[0]: int(row[1]) for row in (await connection.execute(query)).all()}
