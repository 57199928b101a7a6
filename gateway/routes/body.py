"""Reads a request's body, never more of it than the gateway accepts.

Knows bytes and limits. What they mean is in ``gateway/dialects``.
"""

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from gateway.errors import BodyTooLarge


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The whole body. Stops reading as soon as it is known to be larger than ``limit`` bytes, chunked or not.

    Raises BodyTooLarge, and ClientDisconnect if the client goes while it sends.
    """
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
