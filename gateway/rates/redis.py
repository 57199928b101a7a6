"""Rates shared by all processes in one Redis: one script a request, and endings told in batches behind it.

Redis' own clock is the only one, so no two processes disagree on what time it is. A bucket that nobody uses vanishes
when it is full again. Knows Redis and the script.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

from redis.exceptions import RedisError

from gateway.rates.rates import Level, Meter, RatesUnavailable, Verdict, tightest
from gateway.redis_link import redis_at
from gateway.tenancy.scope import RateLimit

_METERS: tuple[Meter, ...] = ("requests", "tokens", "concurrent")
_LINGER_S = 0.02
_MOST_TOLD_AT_ONCE = 500
_MOST_WAITING = 50_000  # endings; beyond, leases and time do what they would have done

# KEYS: per limit a hash of levels and a sorted set of tickets.
# ARGV: tokens, ticket, lease, then per limit the three limits (0: none).
# Answer: number of the limit that refuses (0: none), its meter, the wait in s (-1: for ever), then the levels in pairs.
_TAKE = """
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local need = {1, tonumber(ARGV[1])}
local lease = tonumber(ARGV[3])
local refused, meter, wait = 0, 0, 0
local out, levels = {}, {}
for i = 1, #KEYS / 2 do
  local hash, tickets = KEYS[2 * i - 1], KEYS[2 * i]
  local kept = redis.call('HMGET', hash, 'requests', 'tokens', 'at')
  local at = tonumber(kept[3]) or now
  for m = 1, 2 do
    local most = tonumber(ARGV[3 * i + m])
    local level = most
    if most > 0 then
      if kept[3] and kept[m] then
        level = math.min(most, tonumber(kept[m]) + math.max(0, now - at) * most / 60)
      end
      if level < need[m] and refused == 0 then
        refused, meter = i, m
        wait = need[m] > most and -1 or (need[m] - level) * 60 / most
      end
    end
    levels[2 * i - 2 + m] = level
  end
  local most = tonumber(ARGV[3 * i + 3])
  if most > 0 then
    redis.call('ZREMRANGEBYSCORE', tickets, '-inf', now)
    if redis.call('ZCARD', tickets) >= most and refused == 0 then
      refused, meter, wait = i, 3, 1
    end
  end
end
for i = 1, #KEYS / 2 do
  local hash, tickets = KEYS[2 * i - 1], KEYS[2 * i]
  for m = 1, 2 do
    local most, level = tonumber(ARGV[3 * i + m]), levels[2 * i - 2 + m]
    if most > 0 and refused == 0 then
      level = level - need[m]
      redis.call('HSET', hash, m == 1 and 'requests' or 'tokens', tostring(level), 'at', string.format('%.6f', now))
      redis.call('EXPIRE', hash, 180)
    end
    out[#out + 1] = tostring(level)
  end
  if refused == 0 and tonumber(ARGV[3 * i + 3]) > 0 then
    redis.call('ZADD', tickets, string.format('%.6f', now + lease), ARGV[2])
    redis.call('EXPIRE', tickets, math.ceil(lease) + 60)
  end
end
return {refused, meter, tostring(wait), unpack(out)}
"""


class RedisRates:
    """See ``gateway.rates.rates.Rates``.

    timeout_s : an answer that takes longer is none, connecting included.   prefix : of every name that is kept.
    """

    def __init__(self, url: str, *, timeout_s: float = 0.25, prefix: str = "spillway") -> None:
        self._redis = redis_at(url, timeout_s=timeout_s, max_connections=256)
        self._timeout_s, self._prefix = timeout_s, prefix
        self._take = self._redis.register_script(_TAKE)
        self._ended: list[tuple[Sequence[RateLimit], int, str]] = []
        self._telling: asyncio.Task[None] | None = None

    async def take(self, limits: Sequence[RateLimit], tokens: int, ticket: str, lease_s: float) -> Verdict:
        keys = [name for limit in limits for name in self._names(limit)]
        asked: list[Any] = [tokens, ticket, lease_s]
        for limit in limits:
            asked += [limit.requests_per_minute or 0, limit.tokens_per_minute or 0, limit.concurrent or 0]
        try:
            async with asyncio.timeout(self._timeout_s):
                answer: list[Any] = await self._take(keys=keys, args=asked)
        except (RedisError, OSError, TimeoutError) as error:
            raise RatesUnavailable("rates cannot be counted at the moment", headers={"retry-after": "1"}) from error
        told: list[tuple[str, Level]] = []
        for n, limit in enumerate(limits):
            for m, most in enumerate((limit.requests_per_minute, limit.tokens_per_minute)):
                if most is not None:
                    told.append((_METERS[m], Level.of(most, float(answer[3 + 2 * n + m]))))
        if not answer[0]:
            return Verdict(levels=tightest(told))
        wait_s = float(answer[2])
        return Verdict(
            refused=_METERS[answer[1] - 1],
            by=limits[answer[0] - 1],
            wait_s=None if wait_s < 0 else wait_s,
            levels=tightest(told),
        )

    def give_back(self, limits: Sequence[RateLimit], tokens: int, ticket: str) -> None:
        if len(self._ended) >= _MOST_WAITING:
            return
        self._ended.append((limits, tokens, ticket))
        if self._telling is None or self._telling.done():
            self._telling = asyncio.get_running_loop().create_task(self._tell())

    async def aclose(self) -> None:
        if self._telling is not None:
            await asyncio.wait({self._telling}, timeout=1.0)
            self._telling.cancel()
        with contextlib.suppress(RedisError, OSError):
            await self._redis.aclose()

    async def _tell(self) -> None:
        while self._ended:
            await asyncio.sleep(_LINGER_S)
            batch, self._ended = self._ended[:_MOST_TOLD_AT_ONCE], self._ended[_MOST_TOLD_AT_ONCE:]
            pipeline = self._redis.pipeline(transaction=False)
            for limits, tokens, ticket in batch:
                for limit in limits:
                    hash_name, tickets = self._names(limit)
                    if limit.concurrent is not None:
                        pipeline.zrem(tickets, ticket)
                    if limit.tokens_per_minute is not None and tokens:
                        pipeline.hincrbyfloat(hash_name, "tokens", tokens)
                        pipeline.expire(hash_name, 180)
            try:
                async with asyncio.timeout(self._timeout_s * 4):
                    await pipeline.execute()
            except (RedisError, OSError, TimeoutError):
                continue  # a lease ends by itself, and a bucket fills within minutes

    def _names(self, limit: RateLimit) -> tuple[str, str]:
        name = f"{self._prefix}:rates:{limit.scope.level}:{limit.scope.id}"
        return name, f"{name}:tickets"
