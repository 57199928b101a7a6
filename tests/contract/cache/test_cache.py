"""What every cache promises, in this process, in Redis, and the one before the other."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack

import pytest

from gateway.cache.cache import Cache
from gateway.cache.memory import MemoryCache
from gateway.cache.redis import RedisCache
from gateway.cache.tiered import TieredCache
from tests.redis_server import a_link
from tests.unit.gateway.cache.entries import an_entry

MOST = 10_000
TTL_S = 0.2
SECRET = b"an installation's own"


@pytest.fixture(params=["memory", "redis", "tiered"])
async def kind(request: pytest.FixtureRequest) -> str:
    told: str = request.param
    return told


@pytest.fixture
async def stack() -> AsyncGenerator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


async def made(kind: str, stack: AsyncExitStack, *, ttl_s: float = 60.0) -> Cache:
    near = MemoryCache(max_entry_bytes=MOST, ttl_s=ttl_s)
    if kind == "memory":
        return near
    link = await stack.enter_async_context(a_link())
    shared = RedisCache(link, SECRET, ttl_s=ttl_s, max_entry_bytes=MOST)
    return shared if kind == "redis" else TieredCache(near, shared)


@pytest.fixture
async def cache(kind: str, stack: AsyncExitStack) -> AsyncGenerator[Cache]:
    one = await made(kind, stack)
    yield one
    await one.aclose()


async def test_an_entry_comes_back_under_its_own_key_only(cache: Cache) -> None:
    await cache.put("a", an_entry())
    assert await cache.get("a") == an_entry()
    assert await cache.get("b") is None


async def test_the_latest_entry_counts(cache: Cache) -> None:
    await cache.put("a", an_entry(score=0.1))
    await cache.put("a", an_entry(score=0.2))
    entry = await cache.get("a")
    assert entry is not None
    assert entry.score == 0.2


async def test_what_is_deleted_is_gone(cache: Cache) -> None:
    await cache.put("a", an_entry())
    await cache.delete("a")
    await cache.delete("a")
    assert await cache.get("a") is None


async def test_who_changes_a_body_changes_only_his_own(cache: Cache) -> None:
    await cache.put("a", an_entry(body=b'{"x":1}'))
    first = await cache.get("a")
    assert first is not None
    body = dict(first.json())
    body["x"] = 2
    again = await cache.get("a")
    assert again is not None
    assert again.json() == {"x": 1}


async def test_what_has_grown_too_old_is_gone(kind: str, stack: AsyncExitStack) -> None:
    cache = await made(kind, stack, ttl_s=TTL_S)
    await cache.put("a", an_entry())
    await asyncio.sleep(TTL_S)  # time itself is what is tested
    assert await cache.get("a") is None


async def test_an_entry_over_the_bound_is_not_kept_and_the_one_before_it_does_not_stand_for_it(cache: Cache) -> None:
    await cache.put("a", an_entry(body=b"x" * (MOST + 1)))
    assert await cache.get("a") is None
    await cache.put("b", an_entry(body=b"x" * (MOST // 2)))
    assert await cache.get("b") is not None


async def test_side_by_side_every_question_gets_its_own_answer(cache: Cache) -> None:
    await asyncio.gather(*(cache.put(f"k{n}", an_entry(body=b"%d" % n)) for n in range(200)))
    found = await asyncio.gather(*(cache.get(f"k{n}") for n in range(200)))
    assert [None if entry is None else entry.body for entry in found] == [b"%d" % n for n in range(200)]
