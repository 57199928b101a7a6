"""The ledger's one way in: rows are queued here and committed in groups.

An attempt's opening is committed before ``RequestLog.open`` returns; while one commit runs, further openings gather for
the next. Settlements and closings follow within ``linger_s``, or with the next opening. Nothing queued is ever dropped:
at the bound, and while the database is away, new requests are refused instead.
Knows queues, groups and retries. Knows no price, and leaves the SQL to the store.
"""

import asyncio
import contextlib
import time
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.database import Database, DatabaseError, DatabaseUnavailable
from gateway.ledger.alarms import Alarms, LedgerCounts
from gateway.ledger.billing import Reservation, Settlement, never_sent
from gateway.ledger.bounds import call_bound
from gateway.ledger.entry import LedgerUnavailable, RequestClosing, RequestRecord
from gateway.ledger.lanes import Lane
from gateway.ledger.liveness import Identity
from gateway.ledger.request_log import RequestLog
from gateway.ledger.store import Group, LedgerStore
from gateway.ledger.sweeper import Sweeper
from router.ids import new_id
from router.pricing import PriceBook

_MOST_PER_GROUP = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterLimits:
    """How long and how much the writer holds things in memory."""

    most_held: int = 20_000  # rows not yet on disk; beyond it no new request is taken in
    patience_s: float = 5.0  # an opening that is not committed by then is refused
    linger_s: float = 0.1  # settlements and closings wait so long for company
    heartbeat_s: float = 5.0  # between signs of life and looks for dead processes
    lease_s: float = 60.0  # a process on another host that gave no sign of life for so long is dead
    drain_s: float = 15.0  # a stop waits so long for the database
    hiccup_s: float = 1.0  # a database that is away for longer is told to those who ask how the ledger is


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opening:
    reservation: Reservation
    committed: asyncio.Future[None]


class LedgerWriter:
    """Writes requests, attempts, settlements and closings.

    output_limits : by model, how many tokens an answer can have at most (a documented limit, or the context length).
        Where neither it nor the request bounds an answer, an attempt is opened without a reserved amount.
    """

    def __init__(
        self,
        database: Database,
        prices: PriceBook,
        *,
        output_limits: Mapping[str, int] | None = None,
        limits: WriterLimits | None = None,
        identity: Identity | None = None,
    ) -> None:
        self._prices, self._output_limits = prices, dict(output_limits or {})
        self._limits = limits or WriterLimits()
        self._identity = identity or Identity.of_this_process()
        self._store = LedgerStore(database, new_id("wr"))
        self._alarms = Alarms()
        self._sweeper = Sweeper(self._store, self._alarms, self._identity, lease_s=self._limits.lease_s)
        self._requests: Lane[RequestRecord] = Lane()
        self._openings: Lane[_Opening] = Lane()
        self._settlements: Lane[tuple[int, Settlement]] = Lane()
        self._closings: Lane[tuple[int, RequestClosing]] = Lane()
        self._wake, self._progress = asyncio.Event(), asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []
        self._running = self._stopping = self._again = False
        self._hurried = 0
        self._failing_since: float | None = None

    @property
    def counts(self) -> LedgerCounts:
        """Counters since the start."""
        return self._alarms.counts

    @property
    def unsettled(self) -> int:
        """Rows held in memory that are not yet on disk."""
        return sum(lane.pending for lane in self._lanes)

    @property
    def trouble(self) -> str | None:
        """Why nothing can be written down, and therefore nothing be called, at the moment; None if it can."""
        if self._running and self._tasks[0].done():
            return "the ledger's writer has ended; its log says why"
        if self._failing_since is not None and time.monotonic() - self._failing_since > self._limits.hiccup_s:
            return "the ledger cannot be written"
        return None

    async def start(self) -> None:
        """Settle what dead processes left open, then begin writing. Raises DatabaseUnavailable or DatabaseError."""
        if self._running:
            raise RuntimeError("the ledger writer has been started before")
        await self._store.register(self._identity, _now_us())
        try:
            await self._sweeper.sweep()
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
        left = self._awaited_openings()
        self._answer(left, {opening.reservation.attempt_id for opening in left})
        self._openings.finish(len(left))
        if self.unsettled:
            self._alarms.left_behind(self.unsettled)
        async with self._progress:
            self._progress.notify_all()
        with contextlib.suppress(DatabaseUnavailable, DatabaseError):  # the lease says the same, later
            await self._store.renew(_now_us(), stopped=True)

    async def flush(self) -> None:
        """Return once everything queued so far is committed. Waits for as long as the database is away."""
        goals = [(lane, lane.accepted) for lane in self._lanes]
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
        self._requests.put(record)

    def log_for(self, record: RequestRecord, body: Mapping[str, Any]) -> RequestLog:
        """The log of one request, which a cascade writes its attempts to. ``body`` bounds what a call can cost."""
        return RequestLog(record, call_bound(body), self._prices, self._output_limits, self, self._alarms)

    def close_request(self, closing: RequestClosing) -> None:
        """Note how a request ended. Never blocks, never raises."""
        if not self._running:
            self._alarms.left_behind(1)
            return
        self._closings.put((_now_us(), closing))
        self._wake.set()

    async def reserve(self, reservation: Reservation) -> None:
        """For RequestLog: return once an attempt's opening is committed. Raises LedgerUnavailable."""
        if not self._running or self._stopping:
            raise LedgerUnavailable("the ledger takes nothing in at the moment", headers={"retry-after": "1"})
        opening = _Opening(reservation=reservation, committed=asyncio.get_running_loop().create_future())
        self._openings.put(opening)
        self._wake.set()
        try:
            async with asyncio.timeout(self._limits.patience_s):
                await opening.committed
        except (asyncio.CancelledError, TimeoutError) as error:
            self.settle(never_sent(reservation.attempt_id))  # its commit may be under way
            if isinstance(error, asyncio.CancelledError):
                raise
            self.counts.refused += 1
            raise LedgerUnavailable("the ledger's database does not answer", headers={"retry-after": "1"}) from error

    def settle(self, settlement: Settlement) -> None:
        """For RequestLog: queue a settlement."""
        if not self._running:
            self._alarms.left_behind(1)
            return
        self._settlements.put((_now_us(), settlement))
        self._wake.set()

    @property
    def _lanes(self) -> tuple[Lane[Any], ...]:
        return self._requests, self._openings, self._settlements, self._closings

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
        while not (self._openings or self._hurried or self._stopping or len(self._settlements) >= _MOST_PER_GROUP):
            self._wake.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._wake.wait()
            except TimeoutError:
                break

    async def _commit_group(self) -> bool:
        """Write what is queued, up to a group's size. False if it has to be tried again."""
        openings = self._awaited_openings()
        taken = (
            self._requests.take(len(self._requests)),
            self._settlements.take(_MOST_PER_GROUP),
            self._closings.take(_MOST_PER_GROUP),
        )
        group = Group(
            requests=taken[0],
            reservations=[opening.reservation for opening in openings],
            settlements=taken[1],
            closings=taken[2],
        )
        refused: set[str] | None = None
        try:
            refused = await self._write_group(group)
        except DatabaseUnavailable as error:
            self._failed(error)
            return False
        finally:
            lanes: tuple[tuple[Lane[Any], Sequence[Any]], ...] = (
                (self._openings, openings),
                (self._requests, taken[0]),
                (self._settlements, taken[1]),
                (self._closings, taken[2]),
            )
            for lane, items in lanes:
                if refused is None:
                    lane.give_back(items)
                else:
                    lane.finish(len(items))
        self._failing_since = None
        self.counts.settled += len(group.settlements)
        self._answer(openings, refused)
        async with self._progress:
            self._progress.notify_all()
        return True

    def _awaited_openings(self) -> list[_Opening]:
        """The next openings, without those that nobody waits for any more."""
        taken = self._openings.take(_MOST_PER_GROUP)
        awaited = [opening for opening in taken if not opening.committed.done()]
        self._openings.finish(len(taken) - len(awaited))
        return awaited

    def _answer(self, openings: Sequence[_Opening], refused: Container[str]) -> None:
        for opening in openings:
            if opening.committed.done():
                continue
            if opening.reservation.attempt_id in refused:
                self.counts.refused += 1
                opening.committed.set_exception(LedgerUnavailable("the ledger cannot write this attempt down"))
            else:
                self.counts.opened += 1
                opening.committed.set_result(None)

    async def _write_group(self, group: Group) -> set[str]:
        """Commit a group and return the attempts whose openings could not be. Raises DatabaseUnavailable alone."""
        tries = (True,) if self._again else (False, True)
        self._again = True  # until it went well, rows may be there already
        refused = None
        for again in tries:
            try:
                await self._store.write(group, again=again)
            except DatabaseUnavailable:
                raise
            except Exception as error:  # noqa: BLE001 - one bad row, whyever, must not hold up the others for good
                self._alarms.retry(str(error))
            else:
                refused = set[str]()
                break
        if refused is None:
            refused = await self._write_singly(group)
        self._again = False
        self.counts.commits += 1
        return refused

    async def _write_singly(self, group: Group) -> set[str]:
        refused: set[str] = set()
        for single in group.singles():
            try:
                await self._store.write(single, again=True)
            except DatabaseUnavailable:
                raise
            except Exception as error:  # noqa: BLE001 - as above; here it is known which row it is
                self._alarms.unwritable(single.name, str(error))
                refused.update(reservation.attempt_id for reservation in single.reservations)
        return refused

    def _failed(self, error: Exception) -> None:
        self._failing_since = self._failing_since or time.monotonic()
        self._alarms.retry(str(error))

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(self._limits.heartbeat_s)
            try:
                await self._store.renew(_now_us())
                self._failing_since = None
                await self._sweeper.sweep()
            except (DatabaseUnavailable, DatabaseError) as error:
                self._failed(error)
            except Exception:  # noqa: BLE001 - no sign of life would look like death to others
                self._alarms.unforeseen("tending the ledger")


def _now_us() -> int:
    return time.time_ns() // 1000
