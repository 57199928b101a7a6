"""The way to the Redis that replicas share. Where it does not answer, everybody goes on without it, and at once.

Once an answer has failed to come in time, nobody asks again for a second; then one asks whether it is back, and the
others still go on without. Knows connections and patience, and nothing of what is kept there.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ReadOnlyError, RedisError, ResponseError

from gateway.errors import GatewayError

_log = logging.getLogger("spillway.redis")
_MOST_CONNECTIONS = 1024
Answer = TypeVar("Answer")


def redis_at(url: str, *, timeout_s: float, max_connections: int) -> Redis:
    """A client. Whom a connection leads to may be a replica by now: then it is made anew, to who is the primary."""
    return Redis.from_url(
        url,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        max_connections=max_connections,
        retry=Retry(NoBackoff(), 1),
        retry_on_error=[ReadOnlyError],
    )


class RedisAway(GatewayError):
    """Redis gave no answer, or none that could be used. Nobody's request fails of it."""


class RedisLink:
    """timeout_s : an answer that takes longer is none, connecting included.   prefix : of every name that is kept."""

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = 0.25,
        prefix: str = "spillway",
        retry_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = redis_at(url, timeout_s=timeout_s, max_connections=_MOST_CONNECTIONS)
        self._timeout_s, self._prefix, self._retry_s, self._clock = timeout_s, prefix, retry_s, clock
        self._away_until: float | None = None
        self.unanswered = 0  # for metrics: questions that went without an answer, those not even put included

    @property
    def away(self) -> bool:
        """Whether it did not answer when it was last asked."""
        return self._away_until is not None

    def name(self, *parts: str) -> str:
        """What a thing is called there."""
        return ":".join((self._prefix, *parts))

    async def ask(self, question: Callable[[Redis], Awaitable[Answer]]) -> Answer:
        """What the question is answered with. Raises RedisAway, after ``timeout_s`` at the latest."""
        if self._away_until is not None:
            if self._clock() < self._away_until:
                self.unanswered += 1
                raise RedisAway("Redis did not answer a moment ago")
            self._away_until = self._clock() + self._retry_s
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await question(self._redis)
        except ResponseError as error:  # it is there, and something else stands where ours should
            self.unanswered += 1
            raise RedisAway(f"Redis refused: {error}") from error
        except (RedisError, OSError, TimeoutError) as error:
            self._lost(error)
            raise RedisAway("Redis does not answer") from error
        if self._away_until is not None:
            _log.warning("Redis answers again")
        self._away_until = None
        return answer

    async def aclose(self) -> None:
        """Let go of connections."""
        with contextlib.suppress(RedisError, OSError):
            await self._redis.aclose()

    def _lost(self, error: Exception) -> None:
        self.unanswered += 1
        if self._away_until is None:
            _log.warning("Redis does not answer (%s): this process goes by itself until it does", type(error).__name__)
        self._away_until = self._clock() + self._retry_s


class LinkMetrics(Collector):
    """Whether what replicas share is shared."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link

    def collect(self) -> Iterator[Metric]:
        """As Prometheus' client asks for it."""
        said = "Whether Redis does not answer, so that cache, waiting and hints are this process's own"
        yield GaugeMetricFamily("spillway_redis_away", said, value=float(self._link.away))
        said = "Questions to Redis, of the cache and the like, that went without an answer"
        yield CounterMetricFamily("spillway_redis_unanswered", said, value=self._link.unanswered)
