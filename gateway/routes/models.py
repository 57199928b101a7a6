"""GET /v1/models and /v1/models/{id}: every name that can be asked for."""

from typing import Any

from fastapi import APIRouter, Request

from gateway.admission import names_open_to
from gateway.auth import Authenticator
from gateway.errors import ModelNotFound
from gateway.policies import PolicyBook
from gateway.routes.callers import caller_of


def models_router(policies: PolicyBook, authenticator: Authenticator, created: int) -> APIRouter:
    """created : Unix seconds, told as every model's date of birth, for clients that insist on one."""
    router = APIRouter(tags=["models"])

    def entry(name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": created, "owned_by": "spillway"}

    @router.get("/v1/models")
    async def models(request: Request) -> dict[str, Any]:
        """All that the key may ask for: `auto`, the policies, the models."""
        caller = await caller_of(request, authenticator)
        names = names_open_to(caller, policies.names, policies.default)
        return {"object": "list", "data": [entry(name) for name in names]}

    @router.get("/v1/models/{name:path}")
    async def model(request: Request, name: str) -> dict[str, Any]:
        """One of them."""
        names = names_open_to(await caller_of(request, authenticator), policies.names, policies.default)
        if name not in names:
            there_are = ", ".join(names)
            raise ModelNotFound(f"The model {name!r} does not exist here; there are: {there_are}.", param="model")
        return entry(name)

    return router
