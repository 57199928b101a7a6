"""Settles what processes that died have left open: each such attempt may be billed, so none may be forgotten.

Knows who is dead and what their attempts are put down at. Knows no statement.
"""

import time

from gateway.database import DatabaseError
from gateway.ledger import faults
from gateway.ledger.alarms import Alarms
from gateway.ledger.billing import Settlement, at_bound
from gateway.ledger.entry import RequestClosing
from gateway.ledger.group import Group
from gateway.ledger.liveness import Identity
from gateway.ledger.orphans import Orphans, WriterRow
from gateway.ledger.store import LedgerStore

ORPHANED = "orphaned"
"""The error kind of an attempt that its own process never settled."""

_MOST_AT_ONCE = 500
_MOST_CONFLICTS = 5


class Sweeper:
    """Looks for dead processes and closes their books.

    lease_s : where a process cannot be seen from here, it is dead so long after its last sign of life.
    """

    def __init__(
        self, store: LedgerStore, orphans: Orphans, alarms: Alarms, identity: Identity, *, lease_s: float
    ) -> None:
        self._store, self._orphans, self._alarms, self._identity = store, orphans, alarms, identity
        self._lease_us = int(lease_s * 1_000_000)
        self._conflicts = 0  # in a row

    async def sweep(self) -> int:
        """Settle the orphans of every dead process and return how many there were."""
        found = 0
        for writer in await self._orphans.unswept():
            if self._is_dead(writer):
                found += await self._settle_orphans(writer)
                await self._close_requests(writer)
                await self._orphans.mark_swept(writer, _now_us())
        return found

    def _is_dead(self, writer: WriterRow) -> bool:
        if writer.stopped:
            return True
        if self._identity.can_tell(writer.identity):
            return not self._identity.sees_alive(writer.identity)
        return _now_us() - writer.seen_us > self._lease_us

    async def _settle_orphans(self, writer: WriterRow) -> int:
        found = 0
        while orphans := await self._orphans.attempts(writer, _MOST_AT_ONCE):
            settlements = [
                Settlement(
                    reservation=orphan,
                    state="failed",
                    error_kind=ORPHANED,
                    **at_bound(orphan),
                )
                for orphan in orphans
            ]
            now_us = _now_us()
            faults.reach("orphans-found")
            if not await self._write(Group(settlements=[(now_us, item) for item in settlements])):
                continue
            faults.reach("orphans-settled")
            for orphan in orphans:
                self._alarms.orphan(orphan.attempt_id, orphan.model, orphan.reserved_nanousd)
                if orphan.reserved_nanousd is None:
                    self._alarms.unknown_price(orphan.model, priced=orphan.price_version is not None)
            found += len(orphans)
        return found

    async def _close_requests(self, writer: WriterRow) -> None:
        while identifiers := await self._orphans.requests(writer, _MOST_AT_ONCE):
            now_us = _now_us()
            closings = [
                (now_us, RequestClosing(decision_id=identifier, status="lost", cache_status="MISS"))
                for identifier in identifiers
            ]
            await self._write(Group(closings=closings))
            faults.reach("lost-requests-closed")

    async def _write(self, group: Group) -> bool:
        """False where another process was faster with a part of it: look again then."""
        try:
            await self._store.write(group, again=True)
        except DatabaseError:
            self._conflicts += 1
            if self._conflicts > _MOST_CONFLICTS:
                raise
            return False
        self._conflicts = 0
        return True


def _now_us() -> int:
    return time.time_ns() // 1000
