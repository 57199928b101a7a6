"""Which caller a framework's request comes from."""

from fastapi import Request

from gateway.auth import Authenticator
from gateway.keys import Caller
from gateway.routes.observed import notes


async def caller_of(request: Request, authenticator: Authenticator) -> Caller:
    """Raises InvalidKey."""
    caller = await authenticator.caller(request.headers.get("authorization"), request.headers.get("origin"))
    notes(request.scope)["key_id"] = caller.key_id
    return caller
