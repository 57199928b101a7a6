"""Two caches, one before the other: this process's memory, and behind it the one that all share.

What is in memory is served from there for some seconds at most, and never for longer than the shared entry has yet to
live: then the shared one is asked again, and whatever it says holds. Knows no storage.
"""

from gateway.cache.cache import CacheEntry
from gateway.cache.memory import MemoryCache
from gateway.cache.redis import RedisCache

NEAR_S = 10.0


class TieredCache:
    """near_s : for so long another replica's newer entry may go unseen."""

    def __init__(self, near: MemoryCache, shared: RedisCache, *, near_s: float = NEAR_S) -> None:
        self._near, self._shared, self._near_s = near, shared, near_s

    async def get(self, key: str) -> CacheEntry | None:
        """As the port says."""
        entry = await self._near.get(key)
        if entry is not None:
            return entry
        found = await self._shared.found(key)
        if found is None:
            return None
        entry, left_s = found
        await self._near.put(key, entry, ttl_s=min(self._near_s, left_s))
        return entry

    async def put(self, key: str, entry: CacheEntry) -> None:
        """As the port says."""
        await self._near.put(key, entry, ttl_s=self._near_s)
        await self._shared.put(key, entry)

    async def delete(self, key: str) -> None:
        """As the port says; other processes may have it in memory for some seconds yet."""
        await self._near.delete(key)
        await self._shared.delete(key)

    async def aclose(self) -> None:
        """As the port says."""
        await self._near.aclose()
        await self._shared.aclose()
