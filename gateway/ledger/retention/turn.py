"""Whose turn it is: one process works on the retention of a ledger at a time, and whoever lost count stops.

Knows one row of state. Knows nothing of what is dropped.
"""

import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.database import Database
from gateway.ledger.tables import retention_state

_LEASE_US = 300_000_000


class Overtaken(Exception):
    """Another process works on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """As ``retention_state`` has it."""

    details_from_us: int
    announced_month: int
    dropped_month: int


@dataclass(slots=True)
class Turn:
    """Passed with every step; each step's transaction must begin with it."""

    number: int

    async def take(self, connection: AsyncConnection, **values: Any) -> None:
        """In the transaction of a step, with what the step changes of the state. Raises Overtaken.

        The number that a transaction takes counts only once it was committed: call ``taken`` then.
        """
        mine = and_(retention_state.c.id == 1, retention_state.c.turn == self.number)
        values = {"busy_until_us": time.time_ns() // 1000 + _LEASE_US, **values}
        moved = await connection.execute(update(retention_state).where(mine).values(turn=self.number + 1, **values))
        if moved.rowcount != 1:
            raise Overtaken

    def taken(self) -> None:
        """The transaction was committed."""
        self.number += 1


async def claim(database: Database) -> Turn | None:
    """The turn, if nobody else is at work."""
    now_us = time.time_ns() // 1000
    free = and_(retention_state.c.id == 1, retention_state.c.busy_until_us < now_us)
    async with database.write() as connection:
        taken = update(retention_state).where(free).values(
            turn=retention_state.c.turn + 1, busy_until_us=now_us + _LEASE_US
        )  # fmt: skip
        if (await connection.execute(taken)).rowcount != 1:
            return None
        return Turn(int((await connection.execute(select(retention_state.c.turn))).scalar_one()))


async def release(database: Database, turn: Turn) -> None:
    """For whoever comes next."""
    async with database.write() as connection:
        await turn.take(connection, busy_until_us=0)
    turn.taken()


async def read_state(connection: AsyncConnection) -> State:
    """How far retention has come."""
    row = (await connection.execute(select(retention_state))).one()
    return State(
        details_from_us=row.details_from_us, announced_month=row.announced_month, dropped_month=row.dropped_month
    )
