"""/admin/config and /admin/reload: which configuration is served, and changing to the file as it now stands.

For the operator alone. Knows answers; the rest is ``gateway/reload.py``'s.
"""

from typing import Any

from fastapi import APIRouter, Request

from gateway.errors import ConfigError, ConfigRefused, Forbidden
from gateway.reload import Reloading
from gateway.routes.admin import AdminAuth


def config_router(auth: AdminAuth, reloading: Reloading) -> APIRouter:
    """The two."""
    router = APIRouter(prefix="/admin", tags=["admin"])

    async def must_be_operator(request: Request) -> None:
        if (await auth.actor(request)).place is not None:
            raise Forbidden("Only the operator may: the configuration is the whole installation's.")

    @router.get("/config")
    async def config(request: Request) -> dict[str, Any]:
        """Since when it is served, what of it waits for a restart, and what is wrong with the file, if it is."""
        await must_be_operator(request)
        refused = reloading.refused_at
        return {
            "loaded": reloading.loaded_at.isoformat(),
            "restart_needed": list(reloading.restart_needed),
            "refused": None if refused is None else refused.isoformat(),
            "problems": [
                {"file": str(one.file), "line": one.line, "field": one.field, "message": one.message}
                for one in reloading.problems
            ],
        }

    @router.post("/reload")
    async def reload(request: Request) -> dict[str, Any]:
        """Serve what the file says from the next request on; where it is wrong, 422 says what is, and nothing changes.

        This process only: others hear of it by a call or a SIGHUP of their own.
        """
        await must_be_operator(request)
        try:
            done = await reloading.reload()
        except ConfigError as error:
            raise ConfigRefused(str(error), param=error.problems[0].field or None) from error
        return {
            "loaded": reloading.loaded_at.isoformat(),
            "changed": list(done.changed),
            "restart_needed": list(done.restart_needed),
        }

    return router
