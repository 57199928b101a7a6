"""The ledger's one way in: rows are queued here and committed in groups.

An attempt's opening is committed before ``RequestLog.open`` returns; while one commit runs, further openings gather for
the next. Settlements and closings follow within ``linger_s``, or with the next opening. Nothing queued is ever dropped:
at the bound, and while the database is away, new requests are refused instead.
Knows queues, groups and retries. Knows no price, and leaves the SQL to the store.
"""

import asyncio
import contextlib
import math
import time
from collections import deque
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, TypeVar

from gateway.database import Database, DatabaseError, DatabaseUnavailable
from gateway.ledger import faults
from gateway.ledger.alarms import Alarms, LedgerCounts
from gateway.ledger.backlog import MOST_PER_GROUP, Backlog, Taken, Waiting
from gateway.ledger.billing import Reservation, Settlement, never_sent
from gateway.ledger.entry import LedgerUnavailable, RequestClosing, RequestRecord
from gateway.ledger.group import Group
from gateway.ledger.limits import WriterLimits
from gateway.ledger.liveness import Identity
from gateway.ledger.orphans import Orphans
from gateway.ledger.partitions import MONTHS_AHEAD, make_partitions, months_from
from gateway.ledger.refuge import Refuge, SpoolPlace
from gateway.ledger.request_log import RequestLog
from gateway.ledger.reservations import NoLimits, Reservations
from gateway.ledger.store import LedgerStore, Refusals
from gateway.ledger.sweeper import Sweeper
from gateway.ledger.tariff import Tariff
from router.ids import new_id
from router.pricing import PriceBook

T = TypeVar("T")


class LedgerWriter:
    """Writes requests, attempts, settlements and closings.

    tariff : of requests whose log is given no other; it may be a price book alone.
    reservations : who counts money against limits in the same transactions, and may refuse an opening.
    spool : takes over while the database is away; without one, what would be spent then is refused.
    """

    def __init__(
        self,
        database: Database,
        tariff: Tariff | PriceBook,
        *,
        reservations: Reservations | None = None,
        limits: WriterLimits | None = None,
        identity: Identity | None = None,
        spool: SpoolPlace | None = None,
    ) -> None:
        self._database = database
        self._tariff = tariff if isinstance(tariff, Tariff) else Tariff(prices=tariff)
        self._limits = limits or WriterLimits()
        self._identity = identity or Identity.of_this_process()
        self._store = LedgerStore(database, new_id("wr"), reservations)
        self._alarms = Alarms()
        orphans = Orphans(database, self._store.writer_id)
        self._sweeper = Sweeper(self._store, orphans, self._alarms, self._identity, lease_s=self._limits.lease_s)
        self._refuge: Refuge | None = None
        if spool is not None:
            self._refuge = Refuge(spool, self._store, reservations or NoLimits(), self._alarms)
        self._backlog = Backlog()
        self._wake, self._progress = asyncio.Event(), asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []
        self._running = self._stopping = False
        self._unsure: Taken | None = None  # whose commit was not confirmed
        self._under_way: dict[str, int] = {}  # attempts and requests without an end on disk: when they began
        self._unwritten: deque[str] = deque(maxlen=1000)  # requests that the database refuses: no call for them
        self._partitioned = 0  # the month for which partitions were made
        self._hurried = 0
        self._failing_since: float | None = None
        self._failed_at = -math.inf

    @property
    def counts(self) -> LedgerCounts:
        """Counters since the start."""
        return self._alarms.counts

    @property
    def unsettled(self) -> int:
        """Rows held in memory that are not yet on disk."""
        return self._backlog.pending

    @property
    def spooled_bytes(self) -> int:
        """What waits in the spool for the database."""
        return 0 if self._refuge is None else self._refuge.size

    @property
    def trouble(self) -> str | None:
        """Why nothing can be written down, and therefore nothing be called, at the moment; None if it can."""
        if self._running and self._tasks[0].done():
            return "the ledger's writer has ended; its log says why"
        if self._refuge is not None and self._refuge.away and not self._refuge.full:
            return None
        if self._failing_since is not None and time.monotonic() - self._failing_since > self._limits.hiccup_s:
            return "the ledger cannot be written"
        return None

    async def start(self) -> None:
        """Settle what dead processes left open, then begin writing. Raises DatabaseUnavailable or DatabaseError."""
        if self._running:
            raise RuntimeError("the ledger writer has been started before")
        await self._make_partitions()
        await self._store.register(self._identity, _now_us())
        try:
            await self._sweep()
        except DatabaseError:  # a row that cannot be written is no reason to serve nobody; it is tried again
            self._alarms.unforeseen("settling what dead processes left open")
        self._running = True
        self._tasks = [asyncio.create_task(self._write()), asyncio.create_task(self._tend())]

    async def stop(self) -> None:
        """Take in nothing new, write everything that is queued, then end. Gives up after ``drain_s``."""
        if not self._running:
            return
        self._stopping = True
        self._wake.set()
        writing, tending = self._tasks
        tending.cancel()
        await asyncio.wait([writing], timeout=self._limits.drain_s)
        writing.cancel()
        await asyncio.gather(writing, tending, return_exceptions=True)
        self._running = False
        left = self._backlog.take_openings()
        stopped = LedgerUnavailable("the ledger takes nothing in at the moment", headers={"retry-after": "1"})
        self._answer(left, {waiting.reservation.attempt_id: stopped for waiting in left})
        self._backlog.openings.finish(len(left))
        if self._refuge is not None:
            await self._refuge.close()
        if self.unsettled:
            self._alarms.left_behind(self.unsettled)
        async with self._progress:
            self._progress.notify_all()
        with contextlib.suppress(DatabaseUnavailable, DatabaseError):  # the lease says the same, later
            await self._store.renew(_now_us(), stopped=True)

    async def flush(self) -> None:
        """Return once everything queued so far is committed. Waits for as long as the database is away."""
        goals = [(lane, lane.accepted) for lane in self._backlog.lanes]
        self._hurried += 1
        self._wake.set()
        try:
            async with self._progress:
                await self._progress.wait_for(
                    lambda: not self._running or all(lane.finished >= goal for lane, goal in goals)
                )
        finally:
            self._hurried -= 1

    async def open_request(self, record: RequestRecord) -> None:
        """Take a request in; it is committed with its first attempt, or soon. Raises LedgerUnavailable at the bound."""
        if not self._running or self._stopping or self.unsettled >= self._limits.most_held:
            self.counts.refused += 1
            raise LedgerUnavailable("the ledger takes nothing in at the moment", headers={"retry-after": "1"})
        self._under_way[record.decision_id] = int(record.created.timestamp() * 1_000_000)
        self._backlog.requests.put(record)
        faults.reach("request-queued")

    def log_for(
        self,
        record: RequestRecord,
        body: Mapping[str, Any],
        *,
        most_nanousd: int | None = None,
        tariff: Tariff | None = None,
    ) -> RequestLog:
        """The log of one request, which a cascade writes its attempts to. ``body`` bounds what a call can cost.

        most_nanousd : what all calls of the request together may cost.
        """
        return RequestLog(record, body, tariff or self._tariff, self, self._alarms, most_nanousd)

    def close_request(self, closing: RequestClosing) -> None:
        """Note how a request ended. Never blocks, never raises."""
        if not self._running:
            self._alarms.left_behind(1)
            return
        self._backlog.closings.put((_now_us(), closing))
        faults.reach("closing-queued")
        self._wake.set()

    async def reserve(self, reservation: Reservation) -> None:
        """For RequestLog: return once an attempt's opening is committed.

        Raises LedgerUnavailable, or what ``reservations`` refuses with.
        """
        if not self._running or self._stopping:
            raise LedgerUnavailable("the ledger takes nothing in at the moment", headers={"retry-after": "1"})
        if reservation.decision_id in self._unwritten:
            raise LedgerUnavailable("the ledger cannot write this request down")
        opening = Waiting(reservation=reservation, committed=asyncio.get_running_loop().create_future())
        self._under_way[reservation.attempt_id] = reservation.opened_us
        self._backlog.openings.put(opening)
        faults.reach("opening-queued")
        self._wake.set()
        try:
            async with asyncio.timeout(self._limits.patience_s):
                await opening.committed
        except (asyncio.CancelledError, TimeoutError) as error:
            self.settle(never_sent(reservation))  # its commit may be under way
            if isinstance(error, asyncio.CancelledError):
                raise
            self.counts.refused += 1
            raise LedgerUnavailable("the ledger's database does not answer", headers={"retry-after": "1"}) from error

    def settle(self, settlement: Settlement) -> None:
        """For RequestLog: queue a settlement."""
        if not self._running:
            self._alarms.left_behind(1)
            return
        self._backlog.settlements.put((_now_us(), settlement))
        faults.reach("settlement-queued")
        self._wake.set()

    async def _write(self) -> None:
        pause = 0.0
        while not (self._stopping and not self.unsettled):
            if pause:
                await asyncio.sleep(pause)
            else:
                await self._company()
            done = await self._commit_group()
            pause = 0.0 if done else min(1.0, pause * 2 or 0.02)

    async def _company(self) -> None:
        """Wait for something to write; with nobody waiting for it, wait a little longer for more."""
        self._wake.clear()
        if not self.unsettled and not self._stopping:
            await self._wake.wait()
        deadline = asyncio.get_running_loop().time() + self._limits.linger_s
        waiting = self._backlog
        while not (waiting.openings or self._hurried or self._stopping or len(waiting.settlements) >= MOST_PER_GROUP):
            self._wake.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._wake.wait()
            except TimeoutError:
                break

    async def _commit_group(self) -> bool:
        """Write what is queued, up to a group's size. False if it has to be tried again."""
        if self._refuge is not None and self._refuge.away:
            return await self._spool_group(self._refuge)
        taken: Taken | None = None
        refusals: Refusals | None = None
        try:
            if self._unsure is not None:
                taken, self._unsure = self._unsure, None
                refusals = await self._within(self._store.landed(taken.group))
                if refusals is None:  # it did not happen, and some of it may be wanted no more
                    self._backlog.give_back(taken)
            if refusals is None:
                taken = self._backlog.take()
                faults.reach("group-taken")
                refusals = await self._write_group(taken.group)
        except DatabaseUnavailable as error:
            self._failed(error)
            if self._refuge is not None:
                self._refuge.open(self._back)
            return self._refuge is not None
        finally:
            if refusals is None:
                self._unsure = taken
        if taken is not None:
            await self._finish(taken, refusals)
        return True

    async def _spool_group(self, refuge: Refuge) -> bool:
        """The same into the spool, for as long as the database is away."""
        taken, self._unsure = self._unsure or self._backlog.take(), None
        kept = await refuge.take_in(self._backlog, taken)
        if kept is not None:
            await self._finish(kept, {})
        return kept is not None

    def _back(self) -> None:
        self._failing_since = None
        self._wake.set()

    async def _finish(self, taken: Taken, refusals: Refusals) -> None:
        self._backlog.finish(taken)
        self._failing_since = None
        self.counts.settled += len(taken.settlements)
        for _, settlement in taken.settlements:
            self._under_way.pop(settlement.attempt_id, None)
        for _, closing in taken.closings:
            self._under_way.pop(closing.decision_id, None)
        self._answer(taken.openings, refusals)
        async with self._progress:
            self._progress.notify_all()

    async def _within(self, answer: Awaitable[T]) -> T:
        """The database's answer. Where a spool can take over, it is not waited for as long as a request would."""
        if self._refuge is None:
            return await answer
        try:
            async with asyncio.timeout(self._limits.answer_s):
                return await answer
        except TimeoutError as error:
            raise DatabaseUnavailable("no answer in time") from error

    def _answer(self, openings: Sequence[Waiting], refusals: Refusals) -> None:
        for opening in openings:
            refusal = refusals.get(opening.reservation.attempt_id)
            if refusal is not None:
                self._under_way.pop(opening.reservation.attempt_id, None)
            if opening.committed.done():
                continue
            if refusal is not None:
                self.counts.refused += 1
                opening.committed.set_exception(refusal)
            else:
                self.counts.opened += 1
                opening.committed.set_result(None)
                faults.reach("opening-answered")

    async def _write_group(self, group: Group) -> Refusals:
        """Commit a group and return what was refused of it, for good. Raises DatabaseUnavailable alone."""
        refusals: Refusals | None = None
        for again in (False, True):
            try:
                refusals = await self._within(self._store.write(group, again=again))
            except DatabaseUnavailable:
                raise
            except Exception as error:  # noqa: BLE001 - one bad row, whyever, must not hold up the others for good
                self._alarms.retry(str(error))
            else:
                break
        if refusals is None:
            refusals = await self._write_singly(group)
        self.counts.commits += 1
        return refusals

    async def _write_singly(self, group: Group) -> Refusals:
        refusals: dict[str, Exception] = {}
        for single in group.singles():
            try:
                refusals.update(await self._within(self._store.write(self._writable(single), again=True)))
            except DatabaseUnavailable:
                raise
            except Exception as error:  # noqa: BLE001 - as above; here it is known which row it is
                self._alarms.unwritable(single.name, str(error))
                self._unwritten.extend(record.decision_id for record in single.requests)
                for reservation in single.reservations:
                    refusals[reservation.attempt_id] = LedgerUnavailable("the ledger cannot write this attempt down")
        return refusals

    def _writable(self, single: Group) -> Group:
        if any(reservation.decision_id in self._unwritten for reservation in single.reservations):
            raise DatabaseError("its request cannot be written")
        return single

    def _failed(self, error: Exception) -> None:
        self._failed_at = time.monotonic()
        self._failing_since = self._failing_since or self._failed_at
        self._alarms.retry(str(error))

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(self._limits.heartbeat_s)
            try:
                now_us = _now_us()
                await self._store.renew(now_us, settled_until_us=next(iter(self._under_way.values()), now_us))
                self._failing_since = None
                await self._make_partitions()
                # after an outage others are as silent as the dead: they get their time to come back
                if time.monotonic() - self._failed_at > self._limits.lease_s:
                    await self._sweep()
            except (DatabaseUnavailable, DatabaseError) as error:
                self._failed(error)
            except Exception:  # noqa: BLE001 - no sign of life would look like death to others
                self._alarms.unforeseen("tending the ledger")

    async def _sweep(self) -> None:
        if self._refuge is not None:  # before their rows: it knows better how their attempts ended
            await self._refuge.adopt()
        await self._sweeper.sweep()

    async def _make_partitions(self) -> None:
        month = int(time.strftime("%Y%m", time.gmtime()))
        if month != self._partitioned:
            try:
                await make_partitions(self._database, months_from(month, 1 + MONTHS_AHEAD))
                self._partitioned = month
            except (DatabaseError, DatabaseUnavailable) as error:  # rows go to the default partition meanwhile
                self._alarms.partitions(str(error))
                # somebody who reads for long is gone with the next sign of life; what is refused stays so
                self._partitioned = month if isinstance(error, DatabaseError) else 0


def _now_us() -> int:
    return time.time_ns() // 1000
