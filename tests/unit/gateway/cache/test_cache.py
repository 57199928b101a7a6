"""The port: what every cache has to do, and how an entry travels to one outside this process."""

from collections.abc import AsyncGenerator

import pytest

from gateway.cache.cache import Cache, CacheEntry, CacheEntryError
from gateway.cache.memory import MemoryCache
from tests.unit.gateway.cache.entries import an_entry


@pytest.fixture(params=["memory"])
async def cache(request: pytest.FixtureRequest) -> AsyncGenerator[Cache]:
    made: dict[str, Cache] = {"memory": MemoryCache()}
    yield made[request.param]
    await made[request.param].aclose()


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


@pytest.mark.parametrize("entry", [an_entry(), an_entry(usage=None, score=None, cost_nanousd=None, body=b'"\n"')])
def test_an_entry_travels_as_bytes(entry: CacheEntry) -> None:
    assert CacheEntry.decode(entry.encode()) == entry


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]\n{}", b"{}\n{}", b'{"format":2}\n{}', b'{"format":1,"usage":null}\n']
)
def test_other_bytes_are_no_entry(data: bytes) -> None:
    with pytest.raises(CacheEntryError):
        CacheEntry.decode(data)
