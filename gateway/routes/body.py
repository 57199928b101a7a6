"""Reads a request's body, never more of it than the gateway accepts.

Knows bytes and limits. What they mean is in ``gateway/dialects``.
"""

import asyncio

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from gateway.errors import BodyTooLarge, BodyTooSlow

PATIENCE_S = 60.0  # a body that trickles in holds a place that others wait for


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The whole body. Stops reading as soon as it is known to be larger than ``limit`` bytes, chunked or not.

    Raises BodyTooLarge, BodyTooSlow, and ClientDisconnect if the client goes while it sends.
    """
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await _whole(scope, receive, limit)
    except TimeoutError:
        raise BodyTooSlow(f"The request body was not whole within {PATIENCE_S:g} s.") from None


async def _whole(scope: Scope, receive: Receive, limit: int) -> bytes:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value[:20]) > limit:
            raise _too_large(limit)
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        piece: bytes = message.get("body", b"")
        size += len(piece)
        if size > limit:
            raise _too_large(limit)
        pieces.append(piece)
        if not message.get("more_body", False):
            return b"".join(pieces)


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"The request body is larger than the {limit} bytes that this gateway accepts.")
