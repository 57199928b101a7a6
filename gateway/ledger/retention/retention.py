"""What has had its time goes: details at their age, and money, by whole months, at a greater one.

Knows ages and the order of the two. How something is dropped is known to the modules beside it.
"""

import time
from dataclasses import dataclass, field

from gateway.database import Database
from gateway.ledger.liveness import Identity
from gateway.ledger.retention.details import Details
from gateway.ledger.retention.money import Money, rolled_up
from gateway.ledger.retention.months import Held, droppable
from gateway.ledger.retention.turn import Overtaken, Turn, claim, read_state, release
from gateway.ledger.rollups.sources import DAY_US, HOUR_US
from gateway.ledger.store import LedgerStore
from router.ids import new_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Ages:
    """In days; None: it stays for good. Details go before money, or not at all with it."""

    details: int | None = None
    money: int | None = None


@dataclass(slots=True, kw_only=True)
class Retained:
    """What was done, or with ``dry_run`` would be.

    details_until_us : rows made before it hold no details any more; None: nothing new.   details : of so many.
    money_before : months before it are gone; None: nothing new.   held : what keeps an older one.
    """

    details_until_us: int | None = None
    details: int = 0
    money_before: int | None = None
    held: list[Held] = field(default_factory=list)
    busy: bool = False


class Retention:
    """Of one ledger, for one process. Raises DatabaseUnavailable or DatabaseError; what was done stays done."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._store: LedgerStore | None = None

    async def work(self, ages: Ages, now_us: int | None = None, *, dry_run: bool = False) -> Retained:
        """Drop what is older than these ages."""
        now_us = time.time_ns() // 1000 if now_us is None else now_us
        if dry_run:
            return await self._planned(ages, now_us)
        done = Retained()
        turn = await claim(self._database)
        if turn is None:
            return Retained(busy=True)
        try:
            await self._drop(ages, now_us, turn, done)
            await release(self._database, turn)
        except Overtaken:
            done.busy = True
        except BaseException:
            self._store = None  # whether its last link was written is not known: the next begins a chain of its own
            raise
        return done

    async def _drop(self, ages: Ages, now_us: int, turn: Turn, done: Retained) -> None:
        store = await self._writer()
        async with self._database.read() as connection:
            state = await read_state(connection)
        money = Money(self._database, store, turn)
        if await money.is_begun(state):
            await money.finish(state.announced_month)
            done.money_before = state.announced_month
        until_us = _details_until(ages, now_us)
        if (
            until_us is not None
            and until_us > state.details_from_us
            and await rolled_up(self._database, until_us, now_us)
        ):
            details = Details(self._database, store, turn)
            done.details = await details.drop(state.details_from_us, until_us)
            done.details_until_us = until_us
        if ages.money is None:
            return
        limit_us = now_us - ages.money * DAY_US
        async with self._database.read() as connection:
            horizon = await droppable(connection, limit_us)
        done.held = [] if horizon.held is None else [horizon.held]
        if horizon.before is not None and await money.drop(horizon.before, limit_us, now_us):
            done.money_before = horizon.before

    async def _planned(self, ages: Ages, now_us: int) -> Retained:
        planned = Retained()
        async with self._database.read() as connection:
            state = await read_state(connection)
            until_us = _details_until(ages, now_us)
            if until_us is not None and until_us > state.details_from_us:
                planned.details_until_us = until_us
            if ages.money is not None:
                reached = max(state.details_from_us, until_us or 0)
                horizon = await droppable(connection, now_us - ages.money * DAY_US, details_until_us=reached)
                planned.money_before = horizon.before
                planned.held = [] if horizon.held is None else [horizon.held]
        return planned

    async def _writer(self) -> LedgerStore:
        if self._store is None:
            store = LedgerStore(self._database, new_id("wr"))
            await store.register(Identity.of_this_process(), time.time_ns() // 1000)
            self._store = store
        return self._store


def _details_until(ages: Ages, now_us: int) -> int | None:
    return None if ages.details is None else (now_us - ages.details * DAY_US) // HOUR_US * HOUR_US
