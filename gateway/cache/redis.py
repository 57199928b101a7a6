"""The cache that replicas share in one Redis. While Redis is away every look is a miss.

An entry is JSON behind a seal: an HMAC of its key and content with the installation's secret. So whoever can write to
Redis can take an entry away and not make one, put one under another key, or have anything else read as one; nor can an
answer that belongs to another question, should a connection ever mix them up. The names are HMACs already. What an
answer says can be read there by whoever reads Redis.
Knows Redis and the seal. Knows no rule about what may be kept.
"""

import contextlib
import hashlib
import hmac
from dataclasses import dataclass

from redis.asyncio import Redis

from gateway.cache.cache import FORMAT, CacheEntry, CacheEntryError
from gateway.redis_link import RedisAway, RedisLink

_SEAL_BYTES = hashlib.sha256().digest_size
_LONGEST_MS = 366 * 86_400_000


@dataclass(slots=True, kw_only=True)
class SharedCounts:
    """What came of looks and of entries to keep, in this process."""

    hits: int = 0
    misses: int = 0
    too_large: int = 0  # never kept
    unreadable: int = 0  # of another version, or not ours


class RedisCache:
    """A Cache of all processes with one Redis, one prefix and one secret.

    ttl_s : an entry is forgotten so many seconds after it was put.   max_entry_bytes : a larger one is neither kept
    nor read, packed as it is there.   secret : Database.installation_secret.
    """

    def __init__(self, link: RedisLink, secret: bytes, *, ttl_s: float, max_entry_bytes: int) -> None:
        self._link, self._secret = link, secret
        self._ttl_ms = max(1, round(min(ttl_s * 1000, _LONGEST_MS)))
        self._most = max_entry_bytes
        self.counts = SharedCounts()

    async def get(self, key: str) -> CacheEntry | None:
        """As the port says."""
        found = await self.found(key)
        return None if found is None else found[0]

    async def found(self, key: str) -> tuple[CacheEntry, float] | None:
        """An entry, and for how many seconds it stays."""
        name = self._name(key)

        async def ask(redis: Redis) -> tuple[object, object]:
            pipeline = redis.pipeline(transaction=False)
            pipeline.getrange(name, 0, self._most)  # one byte more than may be there: of what is larger no more is read
            pipeline.pttl(name)
            data, left_ms = await pipeline.execute()
            return data, left_ms

        found = None
        try:
            data, left_ms = await self._link.ask(ask)
            if isinstance(data, bytes) and isinstance(left_ms, int) and data and left_ms > 0:
                found = self._opened(key, data), left_ms / 1000
        except RedisAway:
            pass
        except CacheEntryError:
            self.counts.unreadable += 1
        if found is None:
            self.counts.misses += 1
        else:
            self.counts.hits += 1
        return found

    async def put(self, key: str, entry: CacheEntry) -> None:
        """As the port says."""
        content = entry.encode()
        if len(content) + _SEAL_BYTES > self._most:
            self.counts.too_large += 1
            return
        with contextlib.suppress(RedisAway):
            await self._link.ask(
                lambda redis: redis.set(self._name(key), self._seal(key, content) + content, px=self._ttl_ms)
            )

    async def delete(self, key: str) -> None:
        """As the port says."""
        with contextlib.suppress(RedisAway):
            await self._link.ask(lambda redis: redis.delete(self._name(key)))

    async def aclose(self) -> None:
        """The link is somebody else's, and what is kept is everybody's."""

    def _opened(self, key: str, data: bytes) -> CacheEntry:
        seal, content = data[:_SEAL_BYTES], data[_SEAL_BYTES:]
        if len(data) > self._most or not hmac.compare_digest(seal, self._seal(key, content)):
            raise CacheEntryError("a cache entry is not sealed by this installation")
        return CacheEntry.decode(content)

    def _seal(self, key: str, content: bytes) -> bytes:
        return hmac.digest(self._secret, b"cache entry\n" + key.encode() + b"\n" + content, "sha256")

    def _name(self, key: str) -> str:
        return self._link.name("cache", str(FORMAT), key)  # versions that write differently do not meet
