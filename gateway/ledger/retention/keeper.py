"""Looks every hour while the gateway runs whether something has had its time.

Knows when, and that a failure is no reason to stop. Several processes may do so at once: one of them works.
"""

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from gateway.background import in_background
from gateway.database import Database, DatabaseError, DatabaseUnavailable
from gateway.ledger.retention.retention import Ages, Retention

_EVERY_S = 3600.0
_log = logging.getLogger("spillway.ledger")


class RetentionKeeper:
    """ages : asked every time, for they may change while the gateway runs.   first_s : until the first look."""

    def __init__(self, database: Database, ages: Callable[[], Ages], *, first_s: float = 30.0) -> None:
        self._retention, self._ages, self._first_s = Retention(database), ages, first_s

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """In the background, until the end; what is half done is continued by the next who comes."""
        async with in_background(self._run(), "retention"):
            yield

    async def _run(self) -> None:
        await asyncio.sleep(self._first_s)
        while True:
            ages = self._ages()
            if ages != Ages():
                await self._work(ages)
            await asyncio.sleep(_EVERY_S * random.uniform(0.8, 1.2))

    async def _work(self, ages: Ages) -> None:
        try:
            done = await self._retention.work(ages)
        except (DatabaseError, DatabaseUnavailable) as error:
            _log.warning("what has had its time stays for now: %s", error)
        except Exception:  # noqa: BLE001 - the next round may do better
            _log.exception("what has had its time stays for now")
        else:
            for held in done.held:
                _log.warning("%s", held)
            if done.details or done.money_before:
                _log.info("dropped details of %d rows, money before %s", done.details, done.money_before or "no month")
