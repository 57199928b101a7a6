"""Spools back into the database: one's own after an outage, and those that dead processes left.

What a spool opened and did not settle is settled at its bound where its process is dead, as the sweeper does with rows.
Knows the order. Knows no file format and no statement.
"""

import asyncio
import time
from collections.abc import Iterable
from pathlib import Path

from gateway.database import DatabaseError, DatabaseUnavailable
from gateway.ledger import faults
from gateway.ledger.alarms import Alarms
from gateway.ledger.backlog import MOST_PER_GROUP
from gateway.ledger.billing import Reservation, Settlement, at_bound
from gateway.ledger.entry import RequestClosing, RequestRecord
from gateway.ledger.group import Group
from gateway.ledger.spool import Spool, adopt
from gateway.ledger.store import LedgerStore
from gateway.ledger.sweeper import ORPHANED

_SLICE_BYTES = 512 * 1024
_LAST_BYTES = 64 * 1024  # so much is written while new openings wait


async def drain(spool: Spool, store: LedgerStore, alarms: Alarms, lock: asyncio.Lock) -> int:
    """Write what it holds, in order, while more comes; hold the lock, which keeps more out, for the last of it alone.

    The lock is still held on return. Raises DatabaseUnavailable: call again then.
    """
    rows = 0
    while spool.size > _LAST_BYTES:
        rows += await _drain_slice(spool, store, alarms)
    await lock.acquire()
    try:
        while spool.holds_any:
            rows += await _drain_slice(spool, store, alarms)
        faults.reach("spool-drained")
        spool.clear()
    except BaseException:
        lock.release()
        raise
    return rows


async def _drain_slice(spool: Spool, store: LedgerStore, alarms: Alarms) -> int:
    groups, end = spool.slice(_SLICE_BYTES)
    rows = await _write(groups, store, alarms)
    spool.drained(end)
    return rows


async def adopt_all(folder: Path, store: LedgerStore, alarms: Alarms) -> int:
    """Write what dead processes left in their spools and return how many of their attempts were never settled."""
    orphans = 0
    for adopted in adopt(folder):
        try:
            groups = adopted.groups()
            await _write(groups, store, alarms)
            faults.reach("spool-drained")
            left = _endings(groups, alarms)
            await _write([left], store, alarms)
        except BaseException:
            adopted.release()
            raise
        adopted.remove()
        faults.reach("spool-removed")
        orphans += len(left.settlements)
    return orphans


def _endings(groups: Iterable[Group], alarms: Alarms) -> Group:
    listed = list(groups)
    settled = {item.attempt_id for group in listed for _, item in group.settlements}
    closed = {item.decision_id for group in listed for _, item in group.closings}
    now_us = time.time_ns() // 1000
    settlements, closings = [], []
    for reservation in (item for group in listed for item in group.reservations):
        if reservation.attempt_id not in settled:
            alarms.orphan(reservation.attempt_id, reservation.model, reservation.reserved_nanousd)
            ending = at_bound(reservation)
            settlements.append(
                (now_us, Settlement(reservation=reservation, state="failed", error_kind=ORPHANED, **ending))
            )
    for record in (item for group in listed for item in group.requests):
        if record.decision_id not in closed:
            closing = RequestClosing(decision_id=record.decision_id, status="lost", cache_status="MISS")
            closings.append((now_us, closing))
    return Group(settlements=settlements, closings=closings)


async def _write(groups: Iterable[Group], store: LedgerStore, alarms: Alarms) -> int:
    rows = 0
    for group in _merged(groups):
        try:
            await store.write(group, again=True)
        except DatabaseUnavailable:
            raise
        except DatabaseError as error:
            alarms.retry(str(error))
            await _write_singly(group, store, alarms)
        rows += len(group.reservations) + len(group.settlements)
    return rows


async def _write_singly(group: Group, store: LedgerStore, alarms: Alarms) -> None:
    for single in group.singles():
        try:
            await store.write(single, again=True)
        except DatabaseUnavailable:
            raise
        except DatabaseError as error:
            alarms.unwritable(single.name, str(error))


def _merged(groups: Iterable[Group]) -> Iterable[Group]:
    """Fewer, larger ones; nothing overtakes what it depends on, for a group's rows are written in their order."""
    requests: list[RequestRecord] = []
    reservations: list[Reservation] = []
    settlements: list[tuple[int, Settlement]] = []
    closings: list[tuple[int, RequestClosing]] = []
    for group in groups:
        requests.extend(group.requests)
        reservations.extend(group.reservations)
        settlements.extend(group.settlements)
        closings.extend(group.closings)
        if max(len(requests), len(reservations), len(settlements), len(closings)) >= MOST_PER_GROUP:
            yield Group(requests=requests, reservations=reservations, settlements=settlements, closings=closings)
            requests, reservations, settlements, closings = [], [], [], []
    if requests or reservations or settlements or closings:
        yield Group(requests=requests, reservations=reservations, settlements=settlements, closings=closings)
