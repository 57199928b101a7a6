"""An inference engine as far as its batch goes: so many requests at once, the others in its own queue, real time.

    engine = Engine(places=4, step_s=0.02)
    upstream.will(engine.behave)

Every token takes a step, as decoding does. Its metrics are vLLM's. ``arrivals`` tells, of each request that came
through a gateway, whether it had to wait and whether that could have been known.
"""

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field

from tests.experts import expert
from tests.upstream import Exchange


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One request through a gateway.   full_s : for how long some had been waiting when it came.

    queued : whether it had to wait.   others_free : whether it could have gone elsewhere at once.
    """

    queued: bool
    full_s: float
    others_free: bool


@dataclass(slots=True, kw_only=True, eq=False)
class Engine:
    """places : requests that it works at together.   step_s : seconds a token.   others : the other tiers' engines."""

    places: int
    step_s: float
    others: tuple["Engine", ...] = ()
    running: int = 0
    arrivals: list[Arrival] = field(default_factory=list)
    _full_since: float | None = None  # since when somebody waits
    _queue: deque[asyncio.Future[None]] = field(default_factory=deque)

    @property
    def waiting(self) -> int:
        return len(self._queue)

    async def behave(self, exchange: Exchange) -> None:
        """A behaviour of ``BadUpstream``."""
        answer = expert(load=lambda: (self.running, self.waiting))
        if not exchange.asked.path.endswith("/chat/completions"):
            await answer(exchange)
            return
        if "x-spillway-attempt" in exchange.asked.headers:
            self._arrived()
        await self._place()
        try:
            await asyncio.sleep(self.step_s * exchange.asked.body["max_tokens"])
            await answer(exchange)
        finally:
            self._left()

    def _arrived(self) -> None:
        free = any(other.running < other.places for other in self.others)
        full_s = 0.0 if self._full_since is None else time.monotonic() - self._full_since
        self.arrivals.append(Arrival(queued=self.running >= self.places, full_s=full_s, others_free=free))

    async def _place(self) -> None:
        if self.running < self.places:
            self.running += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        self._full_since = self._full_since or time.monotonic()
        await turn  # whoever left gave its place

    def _left(self) -> None:
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                break
        else:
            self.running -= 1
        self._full_since = self._full_since if self._queue else None
