"""/healthz, /readyz and /metrics: for those who run the gateway, not for those who call it.

None of them calls a model; /healthz touches nothing at all, so that a database that is away restarts no process.
"""

import asyncio
from collections.abc import Callable

import orjson
from fastapi import APIRouter, Request, Response
from starlette.responses import PlainTextResponse

from gateway.database import Database, DatabaseError, DatabaseUnavailable
from gateway.routes.refusals import JSON
from gateway.telemetry.metrics import Telemetry

_PATIENCE_S = 2.0
_AWAY = "does not answer"


def health_router(database: Database, why_not_ready: Callable[[], str | None], *, spools: bool) -> APIRouter:
    """why_not_ready : what stands against taking requests besides the database; None if nothing does.

    spools : the ledger can do without the database for a while. Were it not ready then, nobody would be served at all.
    """
    router = APIRouter(tags=["operation"])

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process lives."""
        return {"status": "ok"}

    @router.get("/readyz")
    async def readyz() -> Response:
        """Requests can be served: the database, or the ledger's spool in its place, takes what they cost."""
        checks = {"gateway": why_not_ready() or "ok", "database": await _database(database)}
        bridged = spools and checks["gateway"] == "ok" and checks["database"].startswith(_AWAY)
        if bridged:
            checks["database"] += "; the ledger's spool stands in for it"
        ready = bridged or all(state == "ok" for state in checks.values())
        body = {"status": "ready" if ready else "not ready", "checks": checks}
        return Response(orjson.dumps(body), 200 if ready else 503, media_type=JSON)

    return router


def metrics_router(telemetry: Telemetry) -> APIRouter:
    """What Prometheus reads."""
    router = APIRouter(tags=["operation"])

    @router.get("/metrics", response_class=PlainTextResponse)
    async def metrics(request: Request) -> Response:
        """Prometheus' text format, or OpenMetrics."""
        body, media_type = telemetry.render(request.headers.get("accept", ""))
        return Response(body, media_type=media_type)

    return router


async def _database(database: Database) -> str:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            schema = await database.schema()
    except TimeoutError:
        return f"{_AWAY} within {_PATIENCE_S:g} s"
    except (DatabaseError, DatabaseUnavailable):
        return _AWAY
    return "ok" if schema.serves else f"stands at {schema.current}, this version needs {schema.head}"
