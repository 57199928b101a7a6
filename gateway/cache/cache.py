"""The port behind which answers are kept, and what is kept.

Knows the shape of an entry and how it travels as bytes. Knows no rule about what may be kept, and no storage.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol, Self

import orjson

from gateway.errors import GatewayError
from scorer.answer import Usage

FORMAT = 1
"""Of what ``encode`` makes. It changes whenever an older version could take an entry for something else than it is."""


class CacheEntryError(GatewayError):
    """Bytes that should be a cache entry are none, or one of another format. It counts as a miss."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheEntry:
    """An answer that was accepted once, with what decides whether it would be accepted today.

    body : the chat.completion object as the client got it, as JSON bytes.
    cost_nanousd : what all attempts of its request cost, None if unknown; a hit saves that much.
    """

    body: bytes
    model: str
    usage: Usage | None
    score: float | None
    scorer_version: str | None
    strategy_id: str | None
    cost_nanousd: int | None
    created_unix_s: float

    def json(self) -> Mapping[str, Any]:
        """The body, parsed anew: the caller may change it."""
        body: Mapping[str, Any] = orjson.loads(self.body)
        return body

    def encode(self) -> bytes:
        """For a store outside this process."""
        head = {name: value for name, value in asdict(self).items() if name != "body"}
        return orjson.dumps({"format": FORMAT, **head}) + b"\n" + self.body

    def _is_sound(self) -> bool:
        """Whether every field is of its own kind: these were bytes."""
        numbers: list[object] = [self.created_unix_s, *_told(self.score, self.cost_nanousd)]
        names: list[object] = [self.model, *_told(self.scorer_version, self.strategy_id)]
        if self.usage is not None:
            told = asdict(self.usage)
            names.append(told.pop("source"))
            numbers += told.values()
        return all(isinstance(one, int | float) for one in numbers) and all(isinstance(one, str) for one in names)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """What ``encode`` made. Raises CacheEntryError."""
        head, separator, body = data.partition(b"\n")
        try:
            fields = orjson.loads(head)
            if not separator or fields.pop("format") != FORMAT:
                raise CacheEntryError("a cache entry is of another format")
            usage = fields.pop("usage")
            entry = cls(body=body, usage=None if usage is None else Usage(**usage), **fields)
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise CacheEntryError("a cache entry cannot be read") from error
        if not entry._is_sound():
            raise CacheEntryError("a cache entry says what none can say")
        return entry


class Cache(Protocol):
    """Where entries are kept. A cache may forget at any time; it never answers with another key's entry."""

    async def get(self, key: str) -> CacheEntry | None:
        """The entry under a key of rules.cache_key, None if there is none or it has grown too old."""
        ...

    async def put(self, key: str, entry: CacheEntry) -> None:
        """Keep an entry, or do not: a cache that is full or away says nothing."""
        ...

    async def delete(self, key: str) -> None:
        """Forget an entry, if there is one."""
        ...

    async def aclose(self) -> None:
        """Let go of connections."""
        ...


def _told(*values: object) -> list[object]:
    return [value for value in values if value is not None]
