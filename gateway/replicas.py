"""What several processes share through Redis, put together for the composition root; without one, each has its own.

Knows what is made of what. Knows how nothing works.
"""

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from prometheus_client.registry import Collector

from gateway.cache.cache import Cache
from gateway.cache.flights import Flights
from gateway.cache.memory import MemoryCache
from gateway.config.settings import RedisSettings, Settings
from gateway.offer import Offer

if TYPE_CHECKING:
    from gateway.hints import BreakerHints
    from gateway.noticeboard import Noticeboard
    from gateway.redis_link import RedisLink  # an extra, for those who have a Redis


class Replicas:
    """offer : what is served at the moment.   Raises ConfigError where Redis is configured and cannot be spoken to."""

    def __init__(self, settings: Settings, offer: Callable[[], Offer]) -> None:
        self._settings = settings
        self._link = None if settings.redis is None else _link(settings, settings.redis)
        self._hints = None if self._link is None else _hints(self._link, offer)

    @property
    def collectors(self) -> Iterator[Collector]:
        """The metrics of it."""
        if self._link is not None:
            from gateway.redis_link import LinkMetrics  # noqa: PLC0415 - as above

            yield LinkMetrics(self._link)
        if self._hints is not None:
            yield self._hints

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """While hints are exchanged, and until connections are let go of."""
        async with AsyncExitStack() as stack:
            if self._link is not None:
                stack.push_async_callback(self._link.aclose)
            if self._hints is not None:
                await stack.enter_async_context(self._hints.running())
            yield

    def cache(self, secret: bytes) -> Cache | None:
        """Where answers are kept.   secret : see ``gateway.cache.rules.cache_key``."""
        told = self._settings.cache
        if not told.enabled:
            return None
        near = MemoryCache(
            max_entries=told.max_entries,
            max_bytes=told.max_bytes,
            max_entry_bytes=told.max_entry_bytes,
            ttl_s=told.ttl_s,
        )
        if self._link is None or not told.shared:
            return near
        from gateway.cache.redis import RedisCache  # noqa: PLC0415 - as above
        from gateway.cache.tiered import TieredCache  # noqa: PLC0415 - as above

        shared = RedisCache(self._link, secret, ttl_s=told.ttl_s, max_entry_bytes=told.max_entry_bytes)
        return TieredCache(near, shared)

    def flights(self) -> Flights:
        """Who waits for whose answer."""
        told = self._settings.cache
        if self._link is None or not told.shared:
            return Flights(wait_s=told.wait_s)
        from gateway.cache.leases import RedisLeases  # noqa: PLC0415 - as above

        return Flights(RedisLeases(self._link), wait_s=told.wait_s)

    def board(self) -> "Noticeboard | None":
        """Where replicas tell each other what they serve."""
        if self._link is None:
            return None
        from gateway.noticeboard import Noticeboard  # noqa: PLC0415 - as above

        return Noticeboard(self._link)


def _link(settings: Settings, redis: RedisSettings) -> "RedisLink":
    try:
        from gateway.redis_link import RedisLink  # noqa: PLC0415 - as above

        return RedisLink(redis.url.get_secret_value(), timeout_s=redis.timeout_s, prefix=redis.prefix)
    except ImportError:
        raise settings.refuse(("redis",), "needs the package redis: pip install 'spillway[redis]'") from None
    except ValueError as error:
        raise settings.refuse(("redis", "url"), f"is no URL of a Redis: {error}") from None


def _hints(link: "RedisLink", offer: Callable[[], Offer]) -> "BreakerHints":
    from gateway.hints import BreakerHints  # noqa: PLC0415 - as above

    return BreakerHints(link, offer)
