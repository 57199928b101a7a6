"""Server-sent events as bytes. Knows the framing only."""

from collections.abc import Mapping
from typing import Any

from gateway.json_bytes import encode

DONE = b"data: [DONE]\n\n"
COMMENT = b": still deciding\n\n"


def event(body: Mapping[str, Any], name: str | None = None) -> bytes:
    """One event that carries a JSON object, with an event name where the dialect has them."""
    head = b"" if name is None else b"event: " + name.encode() + b"\n"
    return head + b"data: " + encode(body) + b"\n\n"
