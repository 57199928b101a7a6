"""The cache in memory: bounded in number, weight and age, whatever is asked of it."""

from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.cache.cache import CacheEntry
from gateway.cache.memory import MemoryCache, _weight
from tests.unit.gateway.cache.entries import an_entry

KEYS = st.sampled_from("abcdefg")


def run(step: Coroutine[Any, Any, CacheEntry | None]) -> object:
    """A coroutine that waits for nothing, to its end: hypothesis' rules are synchronous."""
    try:
        step.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("a cache in memory waits for nothing")


class AgainstAModel(RuleBasedStateMachine):
    """The cache beside a plain list that does the same, slowly."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.cache = MemoryCache(max_entries=4, max_bytes=20_000, ttl_s=10.0, clock=lambda: self.now)
        self.model: list[tuple[str, float, CacheEntry]] = []

    @rule(key=KEYS, size=st.integers(0, 3_000))
    def put(self, key: str, size: int) -> None:
        entry = an_entry(body=b"x" * size)
        run(self.cache.put(key, entry))
        self.model = [row for row in self.model if row[0] != key]
        if _weight(entry) <= 20_000 // 8:
            self.model.append((key, self.now + 10.0, entry))
        while len(self.model) > 4 or sum(_weight(row[2]) for row in self.model) > 20_000:
            self.model.pop(0)

    @rule(key=KEYS)
    def get(self, key: str) -> None:
        found = next((row for row in self.model if row[0] == key), None)
        if found is not None:
            self.model.remove(found)
            if self.now < found[1]:
                self.model.append(found)
            else:
                found = None
        assert run(self.cache.get(key)) == (None if found is None else found[2])

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        run(self.cache.delete(key))
        self.model = [row for row in self.model if row[0] != key]

    @rule(seconds=st.floats(0.0, 6.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def weighs_what_it_holds(self) -> None:
        assert len(self.cache) == len(self.model)
        assert self.cache.weight_bytes == sum(_weight(row[2]) for row in self.model)


TestAgainstAModel = AgainstAModel.TestCase


async def test_it_counts_what_it_does() -> None:
    now = 0.0
    cache = MemoryCache(max_entries=1, max_bytes=100_000, ttl_s=1.0, clock=lambda: now)
    await cache.get("a")
    await cache.put("a", an_entry())
    await cache.get("a")
    await cache.put("b", an_entry())
    now = 1.0
    await cache.get("b")
    await cache.put("c", an_entry(body=b"x" * 50_000))
    counts = cache.counts
    assert (counts.hits, counts.misses, counts.evicted, counts.expired, counts.too_large) == (1, 2, 1, 1, 1)


@pytest.mark.parametrize("bounds", [{"max_entries": 0}, {"max_bytes": 0}, {"ttl_s": 0.0}])
def test_bounds_are_positive(bounds: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="positive"):
        MemoryCache(**bounds)
