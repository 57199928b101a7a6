"""Where rows go while the database is away: into the spool, those that may; back out when the database answers again.

Knows when the database is away and asks for it now and then. Knows no SQL and no file format.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from gateway.database import DatabaseUnavailable
from gateway.ledger.alarms import Alarms
from gateway.ledger.backlog import Backlog, Taken
from gateway.ledger.recovery import adopt_all, drain
from gateway.ledger.reservations import Reservations
from gateway.ledger.spool import Spool, SpoolFull
from gateway.ledger.spool_format import as_spooled
from gateway.ledger.store import LedgerStore

_log = logging.getLogger("spillway.ledger")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolPlace:
    """Where the spools of this host's processes lie, and how large each may grow."""

    folder: Path
    most_bytes: int = 64 * 1024 * 1024


class Refuge:
    """The spool of one process, and whether it is in use.

    probe_s : between looks for the database while it is away.
    """

    def __init__(
        self, place: SpoolPlace, store: LedgerStore, reservations: Reservations, alarms: Alarms, *, probe_s: float = 0.5
    ) -> None:
        self._store, self._reservations, self._alarms, self._probe_s = store, reservations, alarms, probe_s
        self._folder = place.folder
        self._spool = Spool(place.folder, store.writer_id, most_bytes=place.most_bytes)
        self._lock = asyncio.Lock()
        self._probing: asyncio.Task[None] | None = None
        self.away = False
        self.full = False

    @property
    def size(self) -> int:
        """Of what is spooled, in bytes."""
        return self._spool.size

    def open(self, back: Callable[[], None]) -> None:
        """The database is away. ``back`` is called when it is here again and everything spooled is in it."""
        if not self.away:
            self.away = True
            _log.warning("the database is away: the ledger goes to the spool in %s", self._folder)
        if self._probing is None or self._probing.done():
            self._probing = asyncio.create_task(self._probe(back))

    async def take_in(self, backlog: Backlog, taken: Taken) -> Taken | None:
        """Spool what may be, give the rest back to wait, and return what is on disk; None where nothing is."""
        kept = [item for item in taken.openings if self._reservations.may_spool(item.reservation)]
        waiting = [item for item in taken.openings if item not in kept]
        group = replace(taken.group, reservations=[item.reservation for item in kept])
        nothing = not (group.requests or group.reservations or group.settlements or group.closings)
        try:
            async with self._lock:
                if nothing or not self.away:
                    backlog.give_back(taken)
                    return None
                await asyncio.to_thread(self._spool.append, as_spooled(group))
        except (SpoolFull, OSError) as error:
            if not self.full:
                _log.error("nothing more is spooled: %s", error)
            self.full = True
            backlog.give_back(taken)
            return None
        self._alarms.counts.spooled += len(kept)
        backlog.openings.give_back(waiting)
        return replace(taken, openings=kept, group=group)

    async def adopt(self) -> int:
        """Write what dead processes left in their spools; how many attempts of theirs were never settled."""
        return await adopt_all(self._folder, self._store, self._alarms)

    async def close(self) -> None:
        """Stop looking for the database. What is spooled stays for the next start."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)
        if self._spool.holds_any:
            _log.warning("%d bytes stay in the spool in %s for the next start", self._spool.size, self._folder)
        self._spool.close()

    async def _probe(self, back: Callable[[], None]) -> None:
        while self.away:
            await asyncio.sleep(self._probe_s)
            try:
                await self._return()
            except (DatabaseUnavailable, TimeoutError):
                continue
            except Exception:  # noqa: BLE001 - without these looks the gateway would never leave its spool
                self._alarms.unforeseen("going back from the spool to the database")
        back()

    async def _return(self) -> None:
        await self._store.renew(time.time_ns() // 1000)
        started = time.monotonic()
        rows = await drain(self._spool, self._store, self._alarms, self._lock)
        self.away = self.full = False
        self._lock.release()
        _log.warning("the database is back: %d rows from the spool in %.1f s", rows, time.monotonic() - started)
