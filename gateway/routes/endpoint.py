"""One endpoint that answers with a completion, in any dialect, as a whole body or as a stream.

Knows bodies, headers, deadlines and clients that go away. How an answer comes about is in ``gateway/completion.py``,
how it is spoken in ``gateway/dialects``.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gateway.auth import Authenticator
from gateway.dialects.anthropic.request import MESSAGES
from gateway.dialects.chat.request import CHAT
from gateway.dialects.dialect import Asked, Dialect
from gateway.dialects.embeddings.request import EMBEDDINGS
from gateway.dialects.legacy.request import LEGACY
from gateway.dialects.responses.request import RESPONSES
from gateway.errors import RequestError, UpstreamFailed
from gateway.exchange import ChatRequest, Completion, Decision, OnceKey
from gateway.json_bytes import encode
from gateway.keys import Caller
from gateway.routes.body import read_body
from gateway.routes.callers import credential
from gateway.routes.headers import decision_fields, decision_headers, key_given, timeout_wished
from gateway.routes.observed import notes, request_id, served_at
from gateway.routes.refusals import JSON, error_response
from gateway.routes.stream import EventStream
from gateway.serving import Service, Serving
from gateway.wishes import FIELD, wishes_of
from router.backends.backend import Chunk

DIALECTS = (CHAT, LEGACY, RESPONSES, MESSAGES, EMBEDDINGS)
_GRACE_S = 1.0  # for an answer that was paid for in time: to be settled, chosen and sent


def completion_routes(serving: Serving, authenticator: Authenticator) -> list[Route]:
    """One route for each dialect in which a completion can be asked for."""
    return [
        Route(dialect.path, CompletionEndpoint(dialect, serving, authenticator), methods=["POST"])
        for dialect in DIALECTS
    ]


class CompletionEndpoint:
    """The endpoint, as a bare ASGI application: an answer passes through nothing that it does not need."""

    def __init__(self, dialect: Dialect, serving: Serving, authenticator: Authenticator) -> None:
        self._dialect, self._serving, self._authenticator = dialect, serving, authenticator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or notice that nobody waits for the answer any more."""
        served_at(scope, self._dialect.path)
        try:
            with self._serving.request() as service:
                caller = await self._caller(scope)  # strangers take nobody's turn
                async with self._serving.door.passed(service.door_rules):
                    await _Exchange(self._dialect, service, caller).take(scope, receive, send)
        except RequestError as error:
            await error_response(error, scope)(scope, receive, send)
        except ClientDisconnect:
            notes(scope)["client_gone"] = True

    async def _caller(self, scope: Scope) -> Caller:
        headers = Headers(scope=scope)
        return await self._authenticator.caller(credential(headers), headers.get("origin"))


class _Exchange:
    """One request, which goes to its end with the configuration that it began with."""

    def __init__(self, dialect: Dialect, service: Service, caller: Caller) -> None:
        self._dialect, self._service, self._caller = dialect, service, caller
        self._settings = service.settings

    async def take(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer it. Raises RequestError where it cannot be taken as it is, ClientDisconnect."""
        caller = self._caller
        raw = await read_body(scope, receive, self._settings.max_body_bytes)
        asked = self._dialect.parse(raw, request_id(scope))
        asked = replace(asked, request=_with_wishes(asked.request, Headers(scope=scope), raw))
        await self._service.screening.screen(asked.request.body)
        request = asked.request
        notes(scope).update(key_id=caller.key_id, requested_model=request.model[:128], stream=request.stream)
        answering = self._stream if request.stream else self._whole
        if not await _unless_gone(answering(asked, caller, scope, receive, send), receive):
            notes(scope)["client_gone"] = True

    async def _whole(self, asked: Asked, caller: Caller, scope: Scope, receive: Receive, send: Send) -> None:
        response: Response | None = None
        try:
            async with aclosing(self._items(asked, caller, scope, self._deadline())) as items:
                async for item in items:
                    if isinstance(item, Completion):
                        headers = decision_headers(item.decision) | self._ids(item.decision.id)
                        response = Response(encode(asked.render(item)), headers=headers, media_type=JSON)
        except RequestError as error:
            response = error_response(error, scope)
        if response is None:
            raise RuntimeError("a completion ended without an answer")
        await response(scope, receive, send)

    async def _stream(self, asked: Asked, caller: Caller, scope: Scope, receive: Receive, send: Send) -> None:
        ids = self._ids(request_id(scope))
        stream, deadline = EventStream(scope, receive, send, asked.writer(), ids), self._deadline()
        items = self._items(asked, caller, scope, deadline)
        # closed here and not by the garbage collector: whoever waits for this to end must find the attempt settled
        async with stream.kept_alive(self._settings), aclosing(items):
            try:
                async for item in items:
                    async with asyncio.timeout_at(deadline):
                        await stream.take(item)
            except RequestError as error:
                notes(scope)["error"] = error.code
                await stream.fail(error)
            except TimeoutError:  # the client is there and does not read: it must not hold the upstream for ever
                notes(scope)["client_gone"] = True

    def _ids(self, decision_id: str) -> dict[str, str]:
        return dict.fromkeys(self._dialect.id_headers, decision_id)

    def _deadline(self) -> float:
        """When even waiting for what the calls' own deadline left over is over, by the event loop's clock."""
        return asyncio.get_running_loop().time() + self._settings.request_timeout_s + _GRACE_S

    async def _items(
        self, asked: Asked, caller: Caller, scope: Scope, deadline: float
    ) -> AsyncGenerator[Decision | Chunk | Completion]:
        """What the completion yields, within the deadline of a whole request."""
        async with aclosing(self._service.completions.complete(asked.request, caller)) as events:
            while True:
                try:
                    async with asyncio.timeout_at(deadline):
                        item = await anext(events)
                except StopAsyncIteration:
                    return
                except TimeoutError:
                    raise _too_slow(self._settings.request_timeout_s) from None
                if isinstance(item, Completion):
                    notes(scope).update(decision_fields(item.decision))
                yield item


def _with_wishes(request: ChatRequest, headers: Headers, raw: bytes) -> ChatRequest:
    """The request with what it wants of the gateway itself, which no model is told."""
    wishes = wishes_of(headers, request.body.get(FIELD))
    body = {name: value for name, value in request.body.items() if name != FIELD}
    key = key_given(headers)
    once = None
    if key is not None:
        told = f"{request.endpoint}\n{wishes!r}\n{hashlib.sha256(raw).hexdigest()}"
        once = OnceKey(key=key, fingerprint=told)
    return replace(request, body=body, wishes=wishes, timeout_s=timeout_wished(headers), once=once)


def _too_slow(seconds: float) -> UpstreamFailed:
    said = f"There was no whole answer within the {seconds:g} seconds that this gateway gives a request."
    return UpstreamFailed(said, status=504, code="request_timeout", headers={"x-should-retry": "false"})


async def _unless_gone(work: Coroutine[Any, Any, None], receive: Receive) -> bool:
    """Do the work, or stop it as soon as the client goes away. Whether it was done."""
    doing = asyncio.create_task(work)
    watching = asyncio.create_task(_gone(receive))
    try:
        await asyncio.wait({doing, watching}, return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            await doing
            return True
        return False
    finally:
        doing.cancel()
        watching.cancel()
        await asyncio.wait({doing, watching})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
