"""What is written late, of a time that retention has been at already.

Nothing is added to months that were dropped, or are about to be: their sums stand. Details of rows that come late, out
of a spool, go with the next round. Knows one row of state. Costs nothing where a group is of the last hour.
"""

import time
from collections.abc import Iterable

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.database import DatabaseError
from gateway.ledger.group import Group
from gateway.ledger.retention.spans import kept_since_us
from gateway.ledger.tables import retention_state
from router.ids import month_of

_USUAL_MS = 3_600_000
_TIME = slice(4, 16)  # of an identifier: behind its prefix


class Dropped(DatabaseError):
    """Rows are of months that were dropped, or are about to be."""


async def admit(connection: AsyncConnection, group: Group) -> None:
    """Let a group pass, in the transaction that writes it. Raises Dropped."""
    made = [
        *(item.decision_id for item in group.requests),
        *(item.attempt_id for item in group.reservations),
        *(item.attempt_id for _, item in group.settlements),
        *(item.decision_id for _, item in group.closings),
    ]
    changed = [item for _, fix in group.corrections for item in (fix.attempt_id, fix.reservation.decision_id)]
    usual = f"{time.time_ns() // 1_000_000 - _USUAL_MS:012x}"
    if not any(_time(identifier) < usual for identifier in (*made, *changed)):
        return
    # locked, so that whoever announces a drop waits for what was let pass before
    query = select(retention_state.c.announced_month, retention_state.c.details_from_us).with_for_update()
    state = (await connection.execute(query)).one()
    closed_us = kept_since_us(state.announced_month) if state.announced_month else 0
    if (_oldest_us((*made, *changed)) or closed_us) < closed_us:
        raise Dropped(f"months before {state.announced_month} were dropped from the ledger, and stay as they were")
    oldest = _oldest_us(made)
    if oldest is not None and oldest < state.details_from_us:
        await connection.execute(update(retention_state).values(details_from_us=oldest))


def _time(identifier: str) -> str:
    return identifier[_TIME]


def _oldest_us(identifiers: Iterable[str]) -> int | None:
    known = [int(_time(identifier), 16) * 1000 for identifier in identifiers if month_of(identifier)]
    return min(known, default=None)
