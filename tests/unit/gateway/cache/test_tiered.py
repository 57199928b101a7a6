"""Memory before Redis: never older than it says, and never longer than the shared entry lives."""

from gateway.cache.memory import MemoryCache
from gateway.cache.redis import RedisCache
from gateway.cache.tiered import TieredCache
from tests.redis_server import a_link
from tests.unit.gateway.cache.entries import an_entry


async def test_a_newer_answer_of_another_replica_is_seen_once_memory_has_had_its_time() -> None:
    now = 0.0
    async with a_link() as link:
        shared = RedisCache(link, b"secret", ttl_s=60, max_entry_bytes=10_000)
        cache = TieredCache(MemoryCache(clock=lambda: now), shared, near_s=10)
        await cache.put("a", an_entry(score=0.1))
        await shared.put("a", an_entry(score=0.2))
        now = 9.9
        assert (await cache.get("a")) == an_entry(score=0.1)
        now = 10.0
        assert (await cache.get("a")) == an_entry(score=0.2)


async def test_memory_does_not_outlive_the_shared_entry() -> None:
    now = 0.0
    async with a_link() as link:
        short = RedisCache(link, b"secret", ttl_s=5, max_entry_bytes=10_000)
        await short.put("a", an_entry())
        cache = TieredCache(MemoryCache(clock=lambda: now), short, near_s=10)
        assert await cache.get("a") == an_entry()
        await short.delete("a")
        now = 4.0
        assert await cache.get("a") == an_entry()
        now = 5.0
        assert await cache.get("a") is None


async def test_what_memory_holds_is_not_asked_for_again() -> None:
    async with a_link() as link:
        shared = RedisCache(link, b"secret", ttl_s=60, max_entry_bytes=10_000)
        cache = TieredCache(MemoryCache(), shared)
        await shared.put("a", an_entry())
        for _ in range(3):
            assert await cache.get("a") == an_entry()
        assert shared.counts.hits == 1
