"""Folds the rollups every now and then while the gateway runs.

Knows when, and that a failure is no reason to stop. How is known to ``fold.py``; several processes may do so at once.
"""

import asyncio
import logging
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from gateway.background import in_background
from gateway.database import Database, DatabaseError, DatabaseUnavailable
from gateway.ledger.rollups.fold import Rollups

_log = logging.getLogger("spillway.ledger")


class RollupKeeper:
    """every_s : between folds, give or take a fifth, so that replicas do not come at the same moment."""

    def __init__(self, database: Database, every_s: float) -> None:
        self._rollups, self._every_s = Rollups(database), every_s

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """In the background, until the end; an hour that is half done is left for the next who comes."""
        async with in_background(self._run(), "rollups"):
            yield

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._every_s * random.uniform(0.8, 1.2))
            await self._fold()

    async def _fold(self) -> None:
        try:
            folded = await self._rollups.fold()
        except (DatabaseError, DatabaseUnavailable) as error:
            _log.warning("the rollups could not be brought up to date: %s", error)
        except Exception:  # noqa: BLE001 - the next round may do better; reports read raw rows until then
            _log.exception("the rollups could not be brought up to date")
        else:
            if folded.hours:
                _log.debug("%d hours were rolled up", folded.hours)
