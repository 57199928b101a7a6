"""POST /v1/messages/count_tokens: about how long a prompt is. Calls no model and costs nothing."""

from fastapi import APIRouter, Request

from gateway.auth import Authenticator
from gateway.capabilities import prompt_tokens
from gateway.dialects.anthropic.request import to_chat
from gateway.dialects.document import counting_body
from gateway.dialects.fields import model_of, read_object
from gateway.routes.body import read_body
from gateway.routes.callers import caller_of
from gateway.serving import Serving

PATH = "/v1/messages/count_tokens"


def counting_router(serving: Serving, authenticator: Authenticator) -> APIRouter:
    """The endpoint."""
    router = APIRouter(tags=["messages"])

    @router.post(PATH, openapi_extra={"requestBody": counting_body()})
    async def count_tokens(request: Request) -> dict[str, int]:
        """An estimate: which tokenizer counts is known only once a model has answered."""
        await caller_of(request, authenticator)
        offer = serving.offer
        raw = await read_body(request.scope, request.receive, offer.settings.server.max_body_bytes)
        body = read_object(raw, "model and messages")
        chat, _ = to_chat(body)
        offer.policies.choose(model_of(body), chat)
        return {"input_tokens": prompt_tokens(chat)}

    return router
