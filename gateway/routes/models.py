"""GET /v1/models and /v1/models/{id}: every name that can be asked for, as OpenAI lists them or as Anthropic does."""

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request

from gateway.admission import names_open_to
from gateway.auth import Authenticator
from gateway.errors import ModelNotFound
from gateway.routes.callers import caller_of
from gateway.routes.refusals import speaks_anthropic
from gateway.serving import Serving


def models_router(serving: Serving, authenticator: Authenticator, created: int) -> APIRouter:
    """created : Unix seconds, told as every model's date of birth, for clients that insist on one."""
    router = APIRouter(tags=["models"])
    born = datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def entry(request: Request, name: str) -> dict[str, Any]:
        if speaks_anthropic(request.scope):
            return {"type": "model", "id": name, "display_name": name, "created_at": born}
        return {"id": name, "object": "model", "created": created, "owned_by": "spillway"}

    async def names_for(request: Request) -> tuple[str, ...]:
        caller, policies = await caller_of(request, authenticator), serving.offer.policies
        return names_open_to(caller, policies.names, policies.default)

    @router.get("/v1/models")
    async def models(request: Request) -> dict[str, Any]:
        """All that the key may ask for: `auto`, the policies, the models; as Anthropic lists them for its clients."""
        names = await names_for(request)
        data = [entry(request, name) for name in names]
        if speaks_anthropic(request.scope):
            ends = (names[0], names[-1]) if names else (None, None)
            return {"data": data, "has_more": False, "first_id": ends[0], "last_id": ends[1]}
        return {"object": "list", "data": data}

    @router.get("/v1/models/{name:path}")
    async def model(request: Request, name: str) -> dict[str, Any]:
        """One of them."""
        names = await names_for(request)
        if name not in names:
            there_are = ", ".join(names)
            raise ModelNotFound(f"The model {name!r} does not exist here; there are: {there_are}.", param="model")
        return entry(request, name)

    return router
