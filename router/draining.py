"""Calls that nobody waits for any more, read to their end to learn what they count, where the provider bills it all.

Knows tasks, a number and a time. Knows no provider and no price.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any


class Drainage:
    """most_s : how long each is read at most.   most : how many at once; on further ones is hung up."""

    def __init__(self, *, most_s: float = 60.0, most: int = 64) -> None:
        self.most_s, self.most = most_s, most
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended = False

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def has_room(self) -> bool:
        """Whether one more may be left here."""
        return not self._ended and len(self._tasks) < self.most

    def take(self, reading: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Leave it here. It must end by itself, in time, and settle whatever comes."""
        task = asyncio.create_task(reading)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def aclose(self) -> None:
        """Hang up on all that is still being read; each settles what is known of it."""
        self._ended = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
