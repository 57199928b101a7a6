"""An exact cache inside one process: least recently used out first, within bounds of entries, bytes and age.

Knows neither rules nor tenants: a key is a key.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from gateway.cache.cache import CacheEntry

_OVERHEAD_BYTES = 1024  # what an entry's objects, key and place weigh beside its body


@dataclass(slots=True, kw_only=True)
class CacheCounts:
    """What a cache has done since it was made."""

    hits: int = 0
    misses: int = 0
    evicted: int = 0  # thrown out for room
    expired: int = 0
    too_large: int = 0  # never kept


class MemoryCache:
    """A Cache of this process alone; every operation takes constant time.

    max_entries, max_bytes : bounds kept at all times.
    max_entry_bytes : an entry that weighs more is not kept at all, nor is one over an eighth of ``max_bytes``.
    ttl_s : an entry is forgotten so many seconds after it was put.
    """

    def __init__(
        self,
        *,
        max_entries: int = 10_000,
        max_bytes: int = 256 * 1024 * 1024,
        max_entry_bytes: int = 1024 * 1024,
        ttl_s: float = 3600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if max_entries < 1 or max_bytes < 1 or max_entry_bytes < 1 or ttl_s <= 0:
            raise ValueError("max_entries, max_bytes, max_entry_bytes and ttl_s must be positive")
        self._max_entries, self._max_bytes, self._ttl_s, self._clock = max_entries, max_bytes, ttl_s, clock
        self._max_entry_bytes = min(max_entry_bytes, max_bytes // 8)
        self._entries: OrderedDict[str, tuple[float, CacheEntry]] = OrderedDict()
        self._bytes = 0
        self.counts = CacheCounts()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def weight_bytes(self) -> int:
        """What the entries weigh, their objects included at a flat rate."""
        return self._bytes

    async def get(self, key: str) -> CacheEntry | None:
        """As the port says."""
        found = self._entries.get(key)
        if found is None:
            self.counts.misses += 1
            return None
        expires, entry = found
        if self._clock() >= expires:
            self._drop(key)
            self.counts.expired += 1
            self.counts.misses += 1
            return None
        self._entries.move_to_end(key)
        self.counts.hits += 1
        return entry

    async def put(self, key: str, entry: CacheEntry, *, ttl_s: float | None = None) -> None:
        """As the port says.   ttl_s : of this one, where it has less."""
        self._drop(key)
        weight = _weight(entry)
        if weight > self._max_entry_bytes:
            self.counts.too_large += 1
            return
        stays_s = self._ttl_s if ttl_s is None else min(ttl_s, self._ttl_s)
        self._entries[key] = (self._clock() + stays_s, entry)
        self._bytes += weight
        while len(self._entries) > self._max_entries or self._bytes > self._max_bytes:
            self._drop(next(iter(self._entries)))
            self.counts.evicted += 1

    async def delete(self, key: str) -> None:
        """As the port says."""
        self._drop(key)

    async def aclose(self) -> None:
        """Nothing to let go of but the entries."""
        self._entries.clear()
        self._bytes = 0

    def _drop(self, key: str) -> None:
        found = self._entries.pop(key, None)
        if found is not None:
            self._bytes -= _weight(found[1])


def _weight(entry: CacheEntry) -> int:
    return len(entry.body) + _OVERHEAD_BYTES
