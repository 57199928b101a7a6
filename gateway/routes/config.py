"""/admin/config and /admin/reload: which configuration is served, and changing to the file as it now stands.

For the operator alone. Knows answers; the rest is ``gateway/reload.py``'s.
"""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request

from gateway.agreement import Agreement
from gateway.errors import ConfigError, ConfigRefused, Forbidden, GatewayError, Unavailable
from gateway.reload import Reloading
from gateway.routes.admin import AdminAuth


def config_router(auth: AdminAuth, reloading: Reloading, agreement: Agreement) -> APIRouter:
    """The two."""
    router = APIRouter(prefix="/admin", tags=["admin"])

    async def must_be_operator(request: Request) -> None:
        if (await auth.actor(request)).place is not None:
            raise Forbidden("Only the operator may: the configuration is the whole installation's.")

    @router.get("/config")
    async def config(request: Request) -> dict[str, Any]:
        """Since when it is served, what of it waits for a restart, and what is wrong with the file, if it is.

        Beside it what each replica that lives serves, by a hash that is the same where the configuration is.
        """
        await must_be_operator(request)
        refused = reloading.refused_at
        await agreement.tell()
        return {
            "loaded": reloading.loaded_at.isoformat(),
            "restart_needed": list(reloading.restart_needed),
            "refused": None if refused is None else refused.isoformat(),
            "problems": [
                {"file": str(one.file), "line": one.line, "field": one.field, "message": one.message}
                for one in reloading.problems
            ],
            "hash": agreement.hash,
            "replica": agreement.name,
            "replicas": [asdict(one) for one in agreement.replicas],
            "agreed": len({one.hash for one in agreement.replicas}) == 1,
        }

    @router.post("/reload")
    async def reload(request: Request, everywhere: bool = False) -> dict[str, Any]:
        """Serve what the file says from the next request on; where it is wrong, 422 says what is, and nothing changes.

        This process only, unless it is to be everywhere: then all that share its Redis read their own files within 2 s.
        """
        await must_be_operator(request)
        try:
            done = await reloading.reload()
        except ConfigError as error:
            raise ConfigRefused(str(error), param=error.problems[0].field or None) from error
        if everywhere:
            try:
                await agreement.call_all()
            except GatewayError as error:
                said = "It is served here, and the other replicas could not be told: Redis does not answer."
                raise Unavailable(said, headers={"retry-after": "1"}) from error
        return {
            "loaded": reloading.loaded_at.isoformat(),
            "changed": list(done.changed),
            "restart_needed": list(done.restart_needed),
        }

    return router
