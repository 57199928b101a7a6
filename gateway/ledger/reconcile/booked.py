"""What the ledger says of one provider's calls, hour by hour, under the names that the provider has for models.

Knows the ledger's tables. Knows no invoice.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Select, and_, case, func, literal, select

from gateway.database import Database
from gateway.ledger.billing import BOUND
from gateway.ledger.reconcile.compare import Booked
from gateway.ledger.retention.kept import must_be_kept
from gateway.ledger.rollups.sources import HOUR_US, uncompiled
from gateway.ledger.tables import attempts, line_items, settlements

_CONTAINS = {"reasoning": "output"}
"""Providers' files count these within others."""


async def read_booked(
    database: Database, provider: str, days: tuple[date, date], named: Callable[[str], str]
) -> list[Booked]:
    """With a day more at either end, for days may begin elsewhere.   named : the provider's name of a model of ours.

    Raises InvalidRequest for days that were dropped.
    """
    await must_be_kept(database, _begins_us(days[0]))
    found = []
    day, last = days[0] - timedelta(days=1), days[1] + timedelta(days=1)
    while day <= last:
        since = _begins_us(day)
        async with database.read() as connection:
            await uncompiled(connection)
            for query in (_lines(provider, since), _unmeasured(provider, since)):
                for hour, model, meter, quantity, amount, unknown in (await connection.execute(query)).all():
                    found.append(
                        Booked(
                            hour_s=hour // 1_000_000,
                            model=named(model),
                            meter=_CONTAINS.get(meter, meter),
                            quantity=int(quantity),
                            nanousd=int(amount or 0),
                            unknown=int(unknown),
                        )
                    )
        day += timedelta(days=1)
    return found


def _begins_us(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000


def _lines(provider: str, since: int) -> Select[Any]:
    key = ((attempts.c.opened_us - attempts.c.opened_us % HOUR_US), attempts.c.model, line_items.c.meter)
    of_attempt = and_(line_items.c.attempt_id == attempts.c.attempt_id, line_items.c.month == attempts.c.month)
    amount = line_items.c.amount_nanousd
    # a line without a price is followed by one with it, where the attempt was priced later
    later = line_items.alias("later")
    priced = (
        select(later.c.seq)
        .where(later.c.attempt_id == line_items.c.attempt_id, later.c.month == line_items.c.month)
        .where(later.c.meter == line_items.c.meter, later.c.amount_nanousd.is_not(None))
        .exists()
    )
    unknown = func.sum(case((and_(amount.is_(None), ~priced), 1), else_=0))
    return (
        select(*key, func.sum(line_items.c.quantity), func.sum(amount), unknown)
        .select_from(attempts.join(line_items, of_attempt))
        .where(*_of_day(provider, since))
        .group_by(*key)
    )


def _unmeasured(provider: str, since: int) -> Select[Any]:
    """Calls that may have been billed and of which neither counts nor a bound are known."""
    hour = attempts.c.opened_us - attempts.c.opened_us % HOUR_US
    same = and_(settlements.c.attempt_id == attempts.c.attempt_id, settlements.c.month == attempts.c.month)
    return (
        select(hour, attempts.c.model, literal(BOUND), literal(0), literal(0), func.count())
        .select_from(attempts.join(settlements, same))
        .where(
            *_of_day(provider, since),
            settlements.c.amount_nanousd.is_(None),
            settlements.c.usage_source.is_not(None),
            settlements.c.prompt_tokens.is_(None),
        )
        .group_by(hour, attempts.c.model)
    )


def _of_day(provider: str, since: int) -> tuple[Any, ...]:
    opened = attempts.c.opened_us
    return (attempts.c.provider == provider, opened >= since, opened < since + 24 * HOUR_US)
