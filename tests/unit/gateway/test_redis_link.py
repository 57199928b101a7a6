"""The way to Redis while there is none: nobody waits twice, nothing fails, and it is seen."""

import socket

import pytest
from redis.asyncio import Redis

from gateway.cache.redis import RedisCache
from gateway.redis_link import LinkMetrics, RedisAway, RedisLink
from tests.redis_server import a_link
from tests.unit.gateway.cache.entries import an_entry


async def ping(redis: Redis) -> object:
    return await redis.ping()


def nobody() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"redis://127.0.0.1:{server.getsockname()[1]}/0"


async def test_a_redis_that_hangs_is_waited_for_once_a_second() -> None:
    now, asked = 0.0, 0
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and says nothing
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        link = RedisLink(url, timeout_s=0.02, clock=lambda: now)

        async def question(redis: Redis) -> object:
            nonlocal asked
            asked += 1
            return await ping(redis)

        for now in (0.0, 0.5, 0.99, 1.0, 1.5):  # noqa: B007 - the clock reads it
            with pytest.raises(RedisAway):
                await link.ask(question)
        await link.aclose()
    assert asked == 2
    assert link.away
    assert link.unanswered == 5
    told = {family.name: family.samples[0].value for family in LinkMetrics(link).collect()}
    assert told == {"spillway_redis_away": 1.0, "spillway_redis_unanswered": 5.0}


async def test_without_redis_the_cache_misses_and_keeps_nothing() -> None:
    link = RedisLink(nobody(), timeout_s=0.5)
    cache = RedisCache(link, b"secret", ttl_s=60, max_entry_bytes=10_000)
    await cache.put("a", an_entry())
    assert await cache.get("a") is None
    await cache.delete("a")
    await link.aclose()


async def test_it_is_back_with_the_first_answer() -> None:
    now = 0.0
    async with a_link() as good:
        link = RedisLink(nobody(), timeout_s=5.0, clock=lambda: now)
        with pytest.raises(RedisAway):
            await link.ask(ping)
        await link.aclose()
        link._redis = good._redis  # it has come up
        now = 1.0
        assert await link.ask(ping)
        assert not link.away
