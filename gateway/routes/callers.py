"""Which caller a framework's request comes from."""

from fastapi import Request
from starlette.datastructures import Headers

from gateway.auth import Authenticator
from gateway.keys import Caller
from gateway.routes.observed import notes


async def caller_of(request: Request, authenticator: Authenticator) -> Caller:
    """Raises InvalidKey."""
    caller = await authenticator.caller(credential(request.headers), request.headers.get("origin"))
    notes(request.scope)["key_id"] = caller.key_id
    return caller


def credential(headers: Headers) -> str | None:
    """The ``authorization`` header, or the key that Anthropic's clients send in ``x-api-key`` as if it stood there."""
    authorization = headers.get("authorization")
    if authorization is None and "x-api-key" in headers:
        return f"Bearer {headers['x-api-key']}"
    return authorization
