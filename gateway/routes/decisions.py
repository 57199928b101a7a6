"""GET /v1/decisions/{id}: how an answer came about, told to the tenant that asked for it and to nobody else."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import orjson
from fastapi import APIRouter, Request, Response

from gateway.auth import Authenticator
from gateway.errors import NotFound
from gateway.ledger.reports import Reports
from gateway.routes.callers import caller_of
from gateway.routes.refusals import JSON

_PATIENCE_S = 1.0


def decisions_router(reports: Reports, flush: Callable[[], Awaitable[None]], authenticator: Authenticator) -> APIRouter:
    """reports : where decisions are read from.   flush : so that an answer's decision can be read right after it."""
    router = APIRouter(tags=["decisions"])

    @router.get("/v1/decisions/{decision_id}")
    async def decision(request: Request, decision_id: str) -> Response:
        """One decision in full. Amounts are decimal strings of USD; null is unknown."""
        caller = await caller_of(request, authenticator)
        with suppress(TimeoutError):  # then what is known so far is told
            async with asyncio.timeout(_PATIENCE_S):
                await flush()
        found = await reports.decision(decision_id, caller.tenant_id)
        if found is None:
            raise NotFound("There is no such decision.", param="decision_id", code="decision_not_found")
        return Response(orjson.dumps(found.as_json()), media_type=JSON)

    return router
