"""Keeps what is tried the same in every process: looked up every few seconds, and where it was changed at once.

Knows when to look. Knows no table and no policy.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

from gateway.background import in_background
from gateway.canaries.store import CanaryStore
from gateway.canary import Canary
from gateway.database import DatabaseError, DatabaseUnavailable

EVERY_S = 5.0
_log = logging.getLogger("spillway.canaries")


class CanaryWatch:
    """tried : by policy. It stays the same object."""

    def __init__(self, store: CanaryStore, tried: dict[str, Canary]) -> None:
        self._store, self.tried = store, tried

    @asynccontextmanager
    async def running(self, every_s: float = EVERY_S) -> AsyncGenerator[None]:
        """Look before the first request, and then again and again; while the database is away, all stays as it is."""
        with suppress(DatabaseError, DatabaseUnavailable):
            await self.refresh()
        async with in_background(self._run(every_s), "canaries"):
            yield

    async def refresh(self) -> None:
        """Look now."""
        found = {policy: one.canary for policy, one in (await self._store.all()).items()}
        if found != self.tried:
            _log.info(
                "tried on a part of conversations", extra={"fields": {p: c.strategy.id for p, c in found.items()}}
            )
            self.tried.clear()
            self.tried.update(found)

    async def _run(self, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            try:
                await self.refresh()
            except (DatabaseError, DatabaseUnavailable) as error:
                _log.info("what is tried could not be looked up: %s", error)
            except Exception:  # noqa: BLE001 - the next look may do better
                _log.exception("what is tried could not be looked up")
