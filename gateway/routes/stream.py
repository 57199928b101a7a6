"""A response of server-sent events: headers held until the decision is known, a sign of life while it is not.

Knows timing and the order of things on the wire. Whether the headers went out before the decision was known decides
where the decision and a late error travel: in headers and status, or in the events.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

from starlette.types import Receive, Scope, Send

from gateway.config.settings import ServerSettings
from gateway.dialects.dialect import StreamWriter
from gateway.errors import RequestError
from gateway.exchange import Completion, Decision
from gateway.routes.headers import decision_fields, decision_headers
from gateway.routes.observed import request_id
from gateway.routes.refusals import error_response
from router.backends.backend import Chunk

_HEADERS = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache", "x-accel-buffering": "no"}


class EventStream:
    """One stream to one client. Give it what a completion yields with ``take``, or its error with ``fail``."""

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, writer: StreamWriter, ids: Mapping[str, str]
    ) -> None:
        """writer : says everything in the client's dialect.   ids : headers that go out in any case."""
        self._scope, self._receive, self._send = scope, receive, send
        self._writer, self._ids = writer, dict(ids)
        self._begun = False  # it is known, and was said, who answers
        self._started = False
        self._held_too_long = False
        self._content = asyncio.Event()  # set once the client has something to read, or will never have
        self._one_at_a_time = asyncio.Lock()

    @asynccontextmanager
    async def kept_alive(self, settings: ServerSettings) -> AsyncGenerator[None]:
        """Hold headers for a while, then send them and comment lines until content comes."""
        alive = asyncio.create_task(self._keep_alive(settings.hold_headers_s, settings.keep_alive_s))
        try:
            yield
        finally:
            alive.cancel()
            await asyncio.wait({alive})

    async def take(self, item: Decision | Chunk | Completion) -> None:
        """Send what there is to send."""
        self._content.set()
        if isinstance(item, Decision):
            await self._start(item)
        elif isinstance(item, Chunk):
            await self._chunk(item)
        else:
            await self._completion(item)

    async def fail(self, error: RequestError) -> None:
        """Say that there is no answer, or not all of one."""
        self._content.set()
        async with self._one_at_a_time:
            if not self._started:
                await error_response(error, self._scope)(self._scope, self._receive, self._send)
                return
            await self._body(self._writer.fail(error), more=False)

    async def _start(self, decision: Decision) -> None:
        self._begun = True
        async with self._one_at_a_time:
            if not self._held_too_long:
                await self._headers(decision_headers(decision))
            opening = self._writer.begin(decision, decision_fields(decision) if self._held_too_long else None)
            if opening:
                await self._body(opening)

    async def _chunk(self, chunk: Chunk) -> None:
        rendered = self._writer.live(chunk.body) if self._begun and chunk.body is not None else b""
        if rendered:
            await self._body(rendered)

    async def _completion(self, completion: Completion) -> None:
        if not self._begun:
            await self._start(completion.decision)
        await self._body(self._writer.end(completion), more=False)

    async def _keep_alive(self, hold_s: float, every_s: float) -> None:
        if await self._content_within(hold_s):
            return
        async with self._one_at_a_time:
            if self._content.is_set():
                return
            self._held_too_long = True
            await self._headers({"x-request-id": request_id(self._scope)})
            await self._body(self._writer.keep_alive)
        while not await self._content_within(every_s):
            async with self._one_at_a_time:
                await self._body(self._writer.keep_alive)

    async def _content_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await self._content.wait()
        except TimeoutError:
            return False

    async def _headers(self, headers: dict[str, str]) -> None:
        self._started = True
        raw = [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in (_HEADERS | headers | self._ids).items()
        ]
        await self._send({"type": "http.response.start", "status": 200, "headers": raw})

    async def _body(self, data: bytes, *, more: bool = True) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": more})
