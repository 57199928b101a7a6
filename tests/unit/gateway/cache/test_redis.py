"""What stands in Redis, and what of it is believed."""

import pytest
from redis.asyncio import Redis

from gateway.cache.cache import CacheEntry
from gateway.cache.redis import RedisCache
from gateway.redis_link import RedisLink
from tests.unit.gateway.cache.entries import an_entry

SECRET = b"an installation's own"


def over(link: RedisLink, secret: bytes = SECRET) -> RedisCache:
    return RedisCache(link, secret, ttl_s=60, max_entry_bytes=10_000)


async def test_another_replica_finds_it_and_another_installation_does_not(link: RedisLink) -> None:
    await over(link).put("a", an_entry())
    assert await over(link).get("a") == an_entry()
    stranger = over(link, b"another installation's")
    assert await stranger.get("a") is None
    assert stranger.counts.unreadable == 1


async def test_it_stays_for_its_time_and_no_longer(link: RedisLink, redis: Redis) -> None:
    await over(link).put("a", an_entry())
    assert 0 < await redis.pttl(link.name("cache", "1", "a")) <= 60_000


async def test_an_answer_under_another_key_is_none(link: RedisLink, redis: Redis) -> None:
    """As one who may write to Redis would give one tenant's answer to another."""
    cache = over(link)
    await cache.put("a", an_entry())
    await redis.copy(link.name("cache", "1", "a"), link.name("cache", "1", "b"))
    assert await cache.get("b") is None
    assert cache.counts.unreadable == 1


@pytest.mark.parametrize("content", [b"\x80\x04\x95", b"x" * 20_000, b"", b"\n" * 40, CacheEntry.encode(an_entry())])
async def test_odd_values_are_misses(link: RedisLink, redis: Redis, content: bytes) -> None:
    await redis.set(link.name("cache", "1", "a"), content, ex=60)
    cache = over(link)
    assert await cache.get("a") is None
    await cache.put("a", an_entry())
    assert await cache.get("a") == an_entry()


async def test_a_value_of_another_type_is_a_miss_and_redis_is_not_taken_to_be_away(
    link: RedisLink, redis: Redis
) -> None:
    await redis.hset(link.name("cache", "1", "a"), "x", "y")
    await redis.expire(link.name("cache", "1", "a"), 60)
    assert await over(link).get("a") is None
    assert not link.away


async def test_what_would_stay_for_ever_is_not_ours(link: RedisLink, redis: Redis) -> None:
    cache = over(link)
    await cache.put("a", an_entry())
    await redis.persist(link.name("cache", "1", "a"))
    assert await cache.get("a") is None
