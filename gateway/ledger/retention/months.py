"""Which months' money may go: those in which nothing is open, and which no bill has still to be held against.

Reads the ledger. Drops nothing.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Select, Table, and_, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.ledger.reconcile.store import reconciliations, variances
from gateway.ledger.retention.spans import first_moment_us, kept_since_us, made_from, month_at, next_month
from gateway.ledger.retention.turn import read_state
from gateway.ledger.rollups.sources import DAY_US, uncompiled
from gateway.ledger.rollups.tables import attempt_days
from gateway.ledger.tables import attempts, closings, requests, settlements


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Why a month stays, and with it all that are younger."""

    month: int
    reason: str

    def __str__(self) -> str:
        return f"{self.month // 100}-{self.month % 100:02d} stays: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Horizon:
    """before : months before it may be dropped; None: there is none.   held : what keeps an older one, if anything."""

    before: int | None = None
    held: Held | None = None


async def droppable(connection: AsyncConnection, limit_us: int, *, details_until_us: int | None = None) -> Horizon:
    """Of the months that ended before a moment.   details_until_us : if they were dropped up to then, default: now."""
    await uncompiled(connection)
    limit, month = month_at(limit_us), await _oldest(connection)
    before: int | None = None
    while month is not None and month < limit:
        reason = await _open_in(connection, month, details_until_us) or await _unreconciled_in(connection, month)
        if reason is not None:
            return Horizon(before=before, held=Held(month=month, reason=reason))
        before = month = next_month(month)
    return Horizon(before=before)


async def _oldest(connection: AsyncConnection) -> int | None:
    """The first month that has rows."""
    columns = (attempts.c.opened_us, requests.c.created_us)
    firsts = [(await connection.execute(select(func.min(column)))).scalar() for column in columns]
    return min((month_at(first) for first in firsts if first is not None), default=None)


async def _open_in(connection: AsyncConnection, month: int, details_until_us: int | None) -> str | None:
    ended = first_moment_us(next_month(month))
    until_us = (await read_state(connection)).details_from_us if details_until_us is None else details_until_us
    if until_us < ended + DAY_US:
        return "its details, and those of the day after it, were not dropped before"
    until_us = kept_since_us(next_month(month))
    unsettled = _without(attempts, settlements, "attempt_id", month, made_from("att", until_us))
    if (await connection.execute(unsettled)).first() is not None:
        return "an attempt in it is not settled"
    unclosed = _without(requests, closings, "decision_id", month, made_from("dec", until_us))
    if (await connection.execute(unclosed)).first() is not None:
        return "a request in it has no end"
    return None


def _without(begun: Table, ended: Table, key: str, month: int, until: str) -> Select[tuple[str]]:
    same = and_(ended.c[key] == begun.c[key], ended.c.month == begun.c.month)
    query = select(begun.c[key]).select_from(begun.outerjoin(ended, same)).where(begun.c[key] < until)
    return query.where(begun.c.month.in_((month, next_month(month))), ended.c[key].is_(None)).limit(1)


async def _unreconciled_in(connection: AsyncConnection, month: int) -> str | None:
    """Of providers whose bills are held against the ledger at all: days without one, or that differ from it."""
    first, ended = first_moment_us(month), first_moment_us(next_month(month))
    providers = (await connection.execute(select(reconciliations.c.provider).distinct())).scalars().all()
    for provider in sorted(providers):
        query = select(variances.c.day).where(variances.c.provider == provider)
        query = query.where(variances.c.day >= _day(first), variances.c.day < _day(ended)).limit(1)
        if (day := (await connection.execute(query)).scalar()) is not None:
            return f"{provider}'s bill of {day} differs from it"
        days = select(attempt_days.c.hour_us).where(attempt_days.c.provider == provider, attempt_days.c.tag_name == "")
        days = days.where(attempt_days.c.hour_us >= first, attempt_days.c.hour_us < ended).distinct()
        called = sorted((await connection.execute(days)).scalars())
        files = select(reconciliations.c.first_day, reconciliations.c.last_day)
        spans = (await connection.execute(files.where(reconciliations.c.provider == provider))).all()
        for day_us in called:
            if not any(first_day <= _day(day_us) <= last_day for first_day, last_day in spans):
                return f"{provider}'s bill of {_day(day_us)} was not held against it"
    return None


def _day(moment_us: int) -> str:
    return datetime.fromtimestamp(moment_us // 1_000_000, UTC).date().isoformat()
