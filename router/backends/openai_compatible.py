"""A model behind any server that speaks OpenAI's chat-completions protocol: vLLM, SGLang, llama.cpp, Ollama, OpenAI.

Knows the protocol and its servers' faults. Retries nothing and prices nothing.
"""

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

import orjson

from router.backends.backend import Call, Chunk, Reply
from router.backends.failures import failure, failure_in_body, message_in, retry_after_s
from router.backends.http import Exchange, Limits, Upstream
from router.backends.reading import read_answer, read_reply
from router.backends.relay import Relay
from router.errors import BackendBroken, BackendError, BackendNonsense, BackendRefused, BrokenStream
from router.propagation import trace_headers
from router.sse import Event, EventParser
from router.streaming import says_something, split

_ERROR_BYTES = 64 * 1024  # of an error's body, for its message
_DONE = b"[DONE]"


class OpenAICompatible:
    """One model of one server.

    base_url : the API's root, such as ``http://host:8000/v1``.
    limits : of each exchange; ``first_token_s`` and ``idle_s`` hold for streams, since others are silent until the end.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str,
        limits: Limits,
        upstream_model: str | None = None,
        api_key: str | None = None,
        extra_headers: Mapping[str, str] | None = None,
        path: str = "/chat/completions",
    ) -> None:
        headers = {"content-type": "application/json", "user-agent": "spillway", **(extra_headers or {})}
        if api_key:
            headers["authorization"] = f"Bearer {api_key}"
        self._model = model
        self._upstream_model = upstream_model or model
        self._limits = limits
        secrets = tuple(filter(None, (api_key, *(extra_headers or {}).values())))
        self._upstream = Upstream(model, base_url.rstrip("/") + path, headers, secrets)

    @property
    def model(self) -> str:
        return self._model

    async def complete(self, call: Call) -> Reply:
        started = time.monotonic()
        exchange = await self._ask(call, stream=False)
        try:
            body = await self._whole_body(exchange)
        finally:
            exchange.close()
        return read_reply(self._model, body, latency_s=time.monotonic() - started)

    async def stream(self, call: Call) -> AsyncGenerator[Chunk]:
        relay = Relay(self._model, time.monotonic())
        exchange = await self._ask(call, stream=True)
        try:
            if exchange.content_type == "text/event-stream":
                async with aclosing(self._bodies(exchange, relay)) as bodies:
                    async for body in bodies:
                        chunk = relay.pass_on(body)
                        if says_something(body):
                            exchange.heard()
                        if chunk is not None:
                            yield chunk
                await exchange.drain()
            else:  # it did not stream although asked: either an error, or a whole answer, which is as good
                whole = await self._whole_body(exchange)
                read_answer(self._model, whole)
                for chunk in filter(None, map(relay.pass_on, split(whole))):
                    yield chunk
            yield relay.end()
        finally:
            exchange.close()

    async def aclose(self) -> None:
        await self._upstream.aclose()

    async def _ask(self, call: Call, *, stream: bool) -> Exchange:
        own = self._limits
        total_s = own.total_s if call.timeout_s is None else min(own.total_s, call.timeout_s)
        limits = Limits(
            total_s=total_s,
            connect_s=own.connect_s,
            first_token_s=own.first_token_s if stream else None,
            idle_s=own.idle_s if stream else None,
            max_bytes=own.max_bytes,
        )
        try:
            payload = orjson.dumps(self._body(call, stream=stream))
        except TypeError as error:
            raise BackendRefused(self._model, f"the request cannot be written as JSON: {error}") from error
        headers = {
            "accept": "text/event-stream" if stream else "application/json",
            "x-request-id": call.request_id,
            "x-request-timeout": f"{total_s:.3f}",
        }
        if call.attempt_id is not None:
            headers |= {"x-spillway-attempt": call.attempt_id, **trace_headers(call.attempt_id)}
        exchange = await self._upstream.post(payload, headers, limits)
        if not 200 <= exchange.status < 300:
            try:
                raise await self._refusal(exchange)
            finally:
                exchange.close()
        return exchange

    def _body(self, call: Call, *, stream: bool) -> dict[str, Any]:
        body = {**call.body, "model": self._upstream_model, "stream": stream}
        return body | {"stream_options": {"include_usage": True}} if stream else body

    async def _refusal(self, exchange: Exchange) -> BackendError:
        wait_s = retry_after_s(exchange.headers)
        try:
            said = message_in(await exchange.whole(_ERROR_BYTES), self._upstream.secrets)
        except BackendError:
            said = "no message"
        error = failure(self._model, exchange.status, f"HTTP {exchange.status}: {said}", retry_after_s=wait_s)
        if exchange.headers.get("x-should-retry", "").lower() == "false":
            error.retryable = False
        return error

    async def _whole_body(self, exchange: Exchange) -> dict[str, Any]:
        if not exchange.content_type.endswith("json"):
            raise BackendNonsense(
                self._model, f"answered {exchange.content_type:.60} where JSON was expected", status=exchange.status
            )
        body = self._object(await exchange.whole())
        if body.get("error"):
            raise failure_in_body(self._model, body, message_in(body, self._upstream.secrets))
        return body

    def _object(self, payload: bytes) -> dict[str, Any]:
        try:
            body = orjson.loads(payload)
        except orjson.JSONDecodeError as error:
            raise BackendNonsense(self._model, f"the answer is not JSON ({error})", status=200) from error
        if not isinstance(body, dict):
            raise BackendNonsense(self._model, "the answer is not a JSON object", status=200)
        return body

    async def _bodies(self, exchange: Exchange, relay: Relay) -> AsyncGenerator[dict[str, Any]]:
        """The chunks up to [DONE]. Raises BackendBroken where the stream ends without it."""
        parser = EventParser()
        piece = b"unread"
        while piece:
            piece = await exchange.piece()
            for event in self._events(parser, piece):
                if event.data.strip() == _DONE:
                    return
                yield self._chunk(event, began=relay.began)
        raise BackendBroken(self._model, "the stream ended without its [DONE]", status=200)

    def _events(self, parser: EventParser, piece: bytes) -> list[Event]:
        try:
            return parser.feed(piece) if piece else parser.finish()
        except BrokenStream as error:
            raise BackendNonsense(self._model, str(error), status=200) from error

    def _chunk(self, event: Event, *, began: bool) -> dict[str, Any]:
        """The chunk in an event. began : an error now is one of a call that has made tokens, and may bill them."""
        body = self._object(event.data)
        if event.name != "error" and not body.get("error"):
            return body
        error = failure_in_body(self._model, body, message_in(body, self._upstream.secrets))
        if began or isinstance(error, BackendNonsense):
            raise BackendBroken(self._model, f"failed in the stream: {error.message}", status=error.status)
        raise error
