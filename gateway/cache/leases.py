"""Leases in Redis: which process leads an answer that others wait for.

A lease is a key with a token that only its holder knows, set where there is none, and held by being renewed: where its
holder dies it is gone within ``LEASE_S``. Its end stands there for a moment, so that those who looked into the cache
just before the answer came look again. What else stands there is somebody's turn, of whom nothing more is known.
Knows Redis. Knows no answer.
"""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

from redis.asyncio import Redis

from gateway.cache.flights import Lease
from gateway.redis_link import RedisAway, RedisLink

LEASE_S = 3.0
_OVER_S = 2.0
_OVER = b"over"
_LONGEST = 63  # bytes that are read of whatever stands there

# KEYS: the lease. ARGV: the token, then for how many ms.
_RENEW = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 0
"""
# ARGV: the token, then what stands there afterwards and for how many ms; empty: nothing.
_END = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '' then return redis.call('DEL', KEYS[1]) end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""


class RedisLeases:
    """See ``gateway.cache.flights.Leases``."""

    def __init__(self, link: RedisLink, *, lease_s: float = LEASE_S, over_s: float = _OVER_S) -> None:
        self._link, self._lease_ms, self._over_ms = link, int(lease_s * 1000), int(over_s * 1000)
        self._held: dict[str, str] = {}
        self._renewing: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()

    async def take(self, key: str, token: str) -> Lease:
        """As the port says."""
        name = self._name(key)

        async def ask(redis: Redis) -> object:
            pipeline = redis.pipeline(transaction=False)
            pipeline.set(name, token, nx=True, px=self._lease_ms)
            pipeline.getrange(name, 0, _LONGEST)
            _, stands = await pipeline.execute()
            return stands

        try:
            stands = await self._link.ask(ask)
        except RedisAway:
            return "away"
        if not isinstance(stands, bytes):
            return "away"
        if stands != token.encode():
            return "over" if stands == _OVER else "theirs"
        self._held[key] = token
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.create_task(self._renew(), name="leases")
        return "mine"

    def end(self, key: str, token: str, *, over: bool) -> None:
        """As the port says; behind the request."""
        self._held.pop(key, None)
        stands = _OVER.decode() if over else ""
        self._later(self._evaluate([(_END, self._name(key), token, stands, self._over_ms)]))

    async def aclose(self) -> None:
        """As the port says."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.wait({self._renewing})
        if self._ending:
            await asyncio.wait(self._ending, timeout=1.0)

    async def _renew(self) -> None:
        while self._held:
            await asyncio.sleep(self._lease_ms / 3000)
            await self._evaluate(
                [(_RENEW, self._name(key), token, self._lease_ms) for key, token in self._held.items()]
            )

    async def _evaluate(self, calls: list[tuple[str, str, Any, *tuple[Any, ...]]]) -> None:
        async def ask(redis: Redis) -> None:
            pipeline = redis.pipeline(transaction=False)
            for script, name, *told in calls:
                pipeline.eval(script, 1, name, *told)
            await pipeline.execute()

        with contextlib.suppress(RedisAway):  # it ends by itself
            await self._link.ask(ask)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def _name(self, key: str) -> str:
        return self._link.name("flight", key)
