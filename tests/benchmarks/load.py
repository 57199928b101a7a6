"""Requests as fast as they are answered, over so many connections, at little cost of its own.

Knows as much HTTP as answers with a length need.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What came of it."""

    seconds: float
    statuses: Mapping[int, int]

    @property
    def answered(self) -> int:
        return self.statuses.get(200, 0)

    @property
    def per_s(self) -> float:
        return self.answered / self.seconds


async def load(
    url: str, key: str, body: Callable[[int], Mapping[str, Any]], *, connections: int, seconds: float
) -> Load:
    """body : of the n-th request."""
    place = urlsplit(url)
    statuses, numbers = Counter[int](), iter(range(10**9))
    began = time.monotonic()

    async def client() -> None:
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        while time.monotonic() < began + seconds:
            content = json.dumps(body(next(numbers))).encode()
            head = (
                f"POST /v1/chat/completions HTTP/1.1\r\nhost: {place.netloc}\r\nauthorization: Bearer {key}\r\n"
                f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
            )
            writer.write(head.encode() + content)
            answer = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            length = int(answer.partition("content-length:")[2].partition("\r\n")[0])
            await reader.readexactly(length)
            statuses[int(answer[9:12])] += 1
        writer.close()

    await asyncio.gather(*(client() for _ in range(connections)))
    return Load(seconds=time.monotonic() - began, statuses=statuses)
