"""The simulated models behind HTTP, speaking OpenAI's protocol: ``spillway simulate``.

Knows routes, streaming and pace. What the models say and how it is written down live elsewhere.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from gateway.demo.request import ChatRequest, Refusal, parse
from gateway.demo.simulated import MODELS, Said, SimulatedModel, cut, say
from gateway.demo.wire import chunks, completion
from router.ids import new_id

_STARTED = int(time.time())


def application(*, seed: int = 0, pace: float = 1.0) -> Starlette:
    """The ASGI application.

    seed : what the models' luck is drawn from; with temperature 0 (or a ``seed`` in the request) answers repeat.
    pace : multiplies all latencies; 0 answers at once, about 10 is as slow as large models are.
    """

    async def chat(request: Request) -> Response:
        asked = parse(await request.body())
        model = MODELS.get(asked.model)
        if model is None:
            raise Refusal(
                f"The model '{asked.model}' does not exist; there are {', '.join(MODELS)}.",
                param="model",
                status=404,
                code="model_not_found",
            )
        said = [cut(_said(model, asked, seed, n), max_tokens=asked.max_tokens, stop=asked.stop) for n in range(asked.n)]
        identity, created = new_id("chatcmpl"), int(time.time())
        headers = {"x-request-id": new_id("req")}
        await asyncio.sleep(model.first_token_s * pace)
        if asked.stream:
            events = _events(asked, identity, created, said, model.token_s * pace)
            return StreamingResponse(events, media_type="text/event-stream", headers=headers)
        await asyncio.sleep(max(len(one.tokens) for one in said) * model.token_s * pace)
        return _json(completion(asked, identity, created, said), headers=headers)

    routes = [
        Route("/v1/chat/completions", chat, methods=["POST"]),
        Route("/v1/models", _models),
        Route("/v1/models/{name}", _model),
        Route("/healthz", _health),
    ]
    handlers = {Refusal: _refused, HTTPException: _no_such_route}
    return Starlette(routes=routes, exception_handlers=handlers)


def serve(host: str, port: int, *, seed: int, pace: float) -> None:
    """Serve until told to stop."""
    app = application(seed=seed, pace=pace)
    uvicorn.run(
        app,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=2,
        timeout_keep_alive=75,  # on a busy machine seconds pass between two requests of one client
    )


def _said(model: SimulatedModel, asked: ChatRequest, seed: int, choice: int) -> Said:
    sampled = "" if asked.temperature == 0 else os.urandom(8).hex()
    nonce = sampled if asked.seed is None else f"seed {asked.seed}"
    return say(model, asked.messages, seed=seed, nonce=f"{nonce} {choice}")


async def _events(
    asked: ChatRequest, identity: str, created: int, said: list[Said], token_s: float
) -> AsyncIterator[bytes]:
    due = time.monotonic()
    for chunk in chunks(asked, identity, created, said):
        yield b"data: " + orjson.dumps(chunk) + b"\n\n"
        due += token_s
        await asyncio.sleep(max(0.0, due - time.monotonic()))  # to the schedule: timers are coarser than tokens
    yield b"data: [DONE]\n\n"


async def _models(_request: Request) -> Response:
    return _json({"object": "list", "data": [_card(name) for name in MODELS]})


async def _model(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in MODELS:
        raise Refusal(f"The model '{name}' does not exist.", param="model", status=404, code="model_not_found")
    return _json(_card(name))


async def _health(_request: Request) -> Response:
    return _json({"status": "ok"})


def _card(name: str) -> dict[str, str | int]:
    return {"id": name, "object": "model", "created": _STARTED, "owned_by": "spillway-demo"}


async def _refused(_request: Request, error: Exception) -> Response:
    if not isinstance(error, Refusal):
        raise error
    return _json(error.body, status=error.status)


async def _no_such_route(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    message = f"{request.method} {request.url.path} is not served here: {error.detail}."
    return _json(Refusal(message, status=error.status_code).body, status=error.status_code)


def _json(body: object, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(body), status, headers, media_type="application/json")
