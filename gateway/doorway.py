"""How many requests are served at once: the others wait in a bounded queue, or are told to come back.

What is inside may hold its body and its answers in memory, what waits holds its headers: so memory is bounded too.
Knows counts and turns. Knows no request and no key.
"""

import asyncio
import random
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gateway.errors import Overloaded


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorRules:
    """most : requests at once; None: no limit.   queue, patience_s : how many more may wait, and each for how long."""

    most: int | None
    queue: int
    patience_s: float


class Doorway:
    """The only way in."""

    def __init__(self) -> None:
        self.inside = 0
        self.refused = 0  # for metrics
        self._queue: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._queue)

    @asynccontextmanager
    async def passed(self, rules: DoorRules) -> AsyncGenerator[None]:
        """While a request is served. Raises Overloaded where there is no room, nor any within its patience."""
        await self._enter(rules)
        try:
            yield
        finally:
            self.inside -= 1
            self._let_in(rules)

    async def _enter(self, rules: DoorRules) -> None:
        self._let_in(rules)  # more may be let in than when they came
        if not self._queue and (rules.most is None or self.inside < rules.most):
            self.inside += 1
            return
        if len(self._queue) >= rules.queue:
            raise self._overloaded(f"{self.inside} requests are served and {len(self._queue)} wait")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            async with asyncio.timeout(rules.patience_s):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():  # it came at the very moment of giving up
                self.inside -= 1
            elif turn in self._queue:
                self._queue.remove(turn)
            self._let_in(rules)
            if isinstance(error, TimeoutError):
                raise self._overloaded(f"there was no turn within {rules.patience_s:g} s") from error
            raise

    def _let_in(self, rules: DoorRules) -> None:
        while self._queue and (rules.most is None or self.inside < rules.most):
            turn = self._queue.popleft()
            if not turn.done():
                self.inside += 1
                turn.set_result(None)

    def _overloaded(self, why: str) -> Overloaded:
        self.refused += 1
        wait_s = random.uniform(0.5, 2.0)  # they must not all come back at the same moment
        headers = {"retry-after": str(round(wait_s) or 1), "retry-after-ms": str(int(wait_s * 1000))}
        return Overloaded(f"The gateway is busy: {why}. Nothing was called.", headers=headers)
