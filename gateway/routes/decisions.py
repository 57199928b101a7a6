"""GET /v1/decisions/{id}: how an answer came about, told to the tenant that asked for it and to nobody else."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import orjson
from fastapi import APIRouter, Request, Response

from gateway.auth import Authenticator
from gateway.errors import NotFound
from gateway.ledger.reports import Reports
from gateway.routes.callers import caller_of
from gateway.routes.refusals import JSON
from router.certificate import Certificate

_PATIENCE_S = 1.0


def decisions_router(
    reports: Reports,
    flush: Callable[[], Awaitable[None]],
    authenticator: Authenticator,
    certificates: Callable[[], Mapping[str, Certificate]],
) -> APIRouter:
    """reports : where decisions are read from.   flush : so that an answer's decision can be read right after it.

    certificates : those of the strategies in use, by the id of the strategy, which pins them: a certificate is part of
        what the id is a hash of.
    """
    router = APIRouter(tags=["decisions"])

    @router.get("/v1/decisions/{decision_id}")
    async def decision(request: Request, decision_id: str) -> Response:
        """One decision in full. Amounts are decimal strings of USD; null is unknown.

        ``certificate`` is what is certified of the strategy that decided; null too if that is no longer in use here.
        Where it was not carried out as certified, the tag ``spillway.certificate`` says in what.
        """
        caller = await caller_of(request, authenticator)
        with suppress(TimeoutError):  # then what is known so far is told
            async with asyncio.timeout(_PATIENCE_S):
                await flush()
        found = await reports.decision(decision_id, caller.tenant_id)
        if found is None:
            if await reports.is_dropped(decision_id):
                said = "Decisions of that month had their time here and were dropped; their sums are kept."
                raise NotFound(said, param="decision_id", code="decision_dropped")
            raise NotFound("There is no such decision.", param="decision_id", code="decision_not_found")
        certificate = certificates().get(found.strategy_id or "")
        told = {**found.as_json(), "certificate": None if certificate is None else certificate.told()}
        return Response(orjson.dumps(told), media_type=JSON)

    return router
