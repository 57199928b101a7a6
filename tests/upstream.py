"""A model server that can be told to misbehave, for tests of whatever calls model servers.

    async with BadUpstream() as upstream:
        upstream.will(status(429, retry_after="0"), answer("forty-two"))
        ...                               # call it at upstream.base_url
        assert upstream.billed == [(10, 2)]

``will`` sets what it does with the next requests, in order; the last one stays. Untold, it answers "hello there".
Behaviours: ``answer`` (also byte by byte), ``status``, ``error_in_200``, ``error_event``, ``hang``, ``die``,
``raw`` (any bytes under any content type), ``streamed`` (any events), ``empty_choices``, ``truncated_json``, ``huge``.
``nobody_there()`` is a base URL that refuses connections.

``upstream.asked`` lists every request with its body and headers; ``asked.usage`` is what this server would bill for it
(None: nothing), ``asked.hung_up`` an event set once the client closed the connection before the answer's end.
``await upstream.reached(n)`` waits for the n-th request. No sleeps: hanging behaviours wait for the client to go.
"""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from tests.wire import USAGE, Json, chunk_of, chunks_of, completion, embeddings, event

Phase = Literal["before_headers", "after_headers", "mid_stream"]


@dataclass(slots=True)
class Asked:
    """One request as the server saw it."""

    path: str
    headers: Mapping[str, str]
    body: Json
    usage: tuple[int, int] | None = None
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def streams(self) -> bool:
        return bool(self.body.get("stream"))


class Exchange:
    """The server's side of one request: ways to answer it, well or badly."""

    def __init__(self, asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked = asked
        self._reader = reader
        self._writer = writer
        self._chunked = False

    async def head(self, status: int, headers: Mapping[str, str], *, length: int | None = None) -> None:
        """Send the headers; without a length the body is chunked."""
        self._chunked = length is None
        framing = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
        lines = [f"HTTP/1.1 {status} Status", *(f"{name}: {value}" for name, value in headers.items()), framing]
        self._writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        await self._writer.drain()

    async def send(self, data: bytes) -> None:
        self._writer.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)
        await self._writer.drain()

    async def end(self) -> None:
        if self._chunked:
            self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()

    async def whole(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        await self.head(status, headers, length=len(body))
        self._writer.write(body)
        await self._writer.drain()

    async def until_hung_up(self) -> None:
        """Wait, for ever if need be, until the client closes the connection."""
        while await self._reader.read(1024):
            pass
        self.asked.hung_up.set()

    def die(self) -> None:
        transport = self._writer.transport
        assert isinstance(transport, asyncio.WriteTransport)
        transport.abort()


Behaviour = Callable[[Exchange], Awaitable[None]]


class BadUpstream:
    """The server, on a free port of the loopback interface while the ``async with`` lasts."""

    def __init__(self, port: int = 0) -> None:
        self._port = port
        self.asked: list[Asked] = []
        self._behaviours: list[Behaviour] = [answer("hello there")]
        self._news = asyncio.Condition()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.base_url = ""

    def will(self, *behaviours: Behaviour) -> None:
        """What it does with the next requests, in order; the last behaviour stays."""
        self._behaviours = list(behaviours)

    @property
    def billed(self) -> list[tuple[int, int]]:
        """(prompt tokens, completion tokens) of each request that this server charges for."""
        return [asked.usage for asked in self.asked if asked.usage is not None]

    async def reached(self, n: int = 1) -> Asked:
        """The n-th request, as soon as it has come."""
        async with self._news:
            await self._news.wait_for(lambda: len(self.asked) >= n)
        return self.asked[n - 1]

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self.base_url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while (asked := await _request(reader)) is not None:
                behaviour = self._behaviours.pop(0) if len(self._behaviours) > 1 else self._behaviours[0]
                async with self._news:
                    self.asked.append(asked)
                    self._news.notify_all()
                try:
                    await behaviour(Exchange(asked, reader, writer))
                except ConnectionError:
                    asked.hung_up.set()
                    break
        except (ConnectionError, asyncio.CancelledError):
            pass  # the test is over, or the client went between two requests
        finally:
            self._tasks.discard(task)
            writer.close()


def nobody_there() -> str:
    """A base URL at which connections are refused."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{bound.getsockname()[1]}/v1"


def answer(
    text: str | Callable[[Json], str] | None = "hello there",
    *,
    usage: tuple[int, int] | None = USAGE,
    tool_calls: Sequence[Json] = (),
    logprobs: Sequence[float] | None = None,
    reasoning: str | None = None,
    extra: Mapping[str, Any] | None = None,
    cut: int | None = None,
) -> Behaviour:
    """A good answer, streamed if asked. text : may be made of the request's body. usage None: billed but not told.
    cut : send the stream in pieces of so many bytes, through characters and line ends."""

    async def behave(exchange: Exchange) -> None:
        asked = exchange.asked
        asked.usage = usage or USAGE
        said = text(asked.body) if callable(text) else text
        if not asked.streams:
            told = completion(said, usage=usage, tool_calls=tool_calls, logprobs=logprobs, reasoning=reasoning)
            body = told | dict(extra or {})
            await exchange.whole(200, json.dumps(body).encode(), {"content-type": "application/json"})
            return
        asks_usage = (asked.body.get("stream_options") or {}).get("include_usage")
        counted = usage if asks_usage else None
        chunks = [chunk | dict(extra or {}) for chunk in chunks_of(said, counted, tool_calls, logprobs, reasoning)]
        data = b"".join(event(chunk) for chunk in chunks) + b"data: [DONE]\n\n"
        await exchange.head(200, {"content-type": "text/event-stream; charset=utf-8"})
        size = cut or len(data)
        for start in range(0, len(data), size):
            await exchange.send(data[start : start + size])
        await exchange.end()

    return behave


def vectors(*, usage: int | None = 8, inputs: int | None = None) -> Behaviour:
    """A vector for each input (or for so many), as floats whatever encoding was asked for."""

    async def behave(exchange: Exchange) -> None:
        asked = exchange.asked
        asked.usage = (usage or 8, 0)
        given = asked.body["input"]
        n = inputs if inputs is not None else len(given) if isinstance(given, list) else 1
        body = embeddings(n, usage=usage, dimensions=asked.body.get("dimensions", 3))
        await exchange.whole(200, json.dumps(body).encode(), {"content-type": "application/json"})

    return behave


def status(
    code: int,
    message: str = "no",
    *,
    retry_after: str | None = None,
    retry_after_ms: str | None = None,
    body: bytes | None = None,
) -> Behaviour:
    """An error status with OpenAI's error body, or another one."""
    payload = json.dumps({"error": {"message": message, "type": "x", "param": None, "code": None}}).encode()
    headers = {"content-type": "application/json"}
    if retry_after is not None:
        headers["retry-after"] = retry_after
    if retry_after_ms is not None:
        headers["retry-after-ms"] = retry_after_ms

    async def behave(exchange: Exchange) -> None:
        await exchange.whole(code, payload if body is None else body, headers)

    return behave


def hang(phase: Phase) -> Behaviour:
    """Fall silent in a phase until the client goes. In mid-stream, "hello" has been said and is billed."""

    async def behave(exchange: Exchange) -> None:
        await _until(phase, exchange)
        await exchange.until_hung_up()

    return behave


def die(phase: Phase) -> Behaviour:
    """Reset the connection in a phase. In mid-stream, "hello" has been said and is billed."""

    async def behave(exchange: Exchange) -> None:
        await _until(phase, exchange)
        exchange.die()

    return behave


def raw(
    body: bytes, *, content_type: str = "application/json", headers: Mapping[str, str] | None = None, code: int = 200
) -> Behaviour:
    """Any bytes."""

    async def behave(exchange: Exchange) -> None:
        exchange.asked.usage = USAGE
        await exchange.whole(code, body, {"content-type": content_type, **(headers or {})})

    return behave


def streamed(*events: bytes) -> Behaviour:
    """Any bytes as an event stream that ends well on HTTP's level."""

    async def behave(exchange: Exchange) -> None:
        exchange.asked.usage = USAGE
        await exchange.head(200, {"content-type": "text/event-stream"})
        for data in events:
            await exchange.send(data)
        await exchange.end()

    return behave


def error_in_200(message: str = "no", code: int | str | None = None) -> Behaviour:
    """Status 200 and an error object, whether a stream was asked for or not."""
    return raw(json.dumps({"error": {"message": message, "code": code}}).encode())


def error_event(message: str = "no", code: int | None = None, *, after: str = "hello") -> Behaviour:
    """A stream with an error event after some text ("" for none)."""
    said = (event(chunk_of({"role": "assistant", "content": after})),) if after else ()
    return streamed(*said, event({"error": {"message": message, "code": code}}))


def empty_choices() -> Behaviour:
    """An answer, streamed if asked, without any choice."""

    async def behave(exchange: Exchange) -> None:
        body = json.dumps({**completion("x"), "choices": []}).encode()
        empty = (event({**chunk_of({}), "choices": []}), b"data: [DONE]\n\n")
        await (streamed(*empty) if exchange.asked.streams else raw(body))(exchange)

    return behave


def truncated_json() -> Behaviour:
    """JSON that stops in the middle, in the body or in an event."""

    async def behave(exchange: Exchange) -> None:
        half = json.dumps(completion("hello there")).encode()[:60]
        await (streamed(b"data: " + half + b"\n\n") if exchange.asked.streams else raw(half))(exchange)

    return behave


def huge(size: int) -> Behaviour:
    """An answer of at least so many bytes, one event if streamed."""
    return answer("x" * size)


async def _until(phase: Phase, exchange: Exchange) -> None:
    if phase == "before_headers":
        return
    streams = exchange.asked.streams
    await exchange.head(200, {"content-type": "text/event-stream" if streams else "application/json"})
    if phase == "mid_stream":
        exchange.asked.usage = USAGE
        said = event(chunk_of({"role": "assistant", "content": "hello"}))
        await exchange.send(said if streams else b'{"id": "up-1", "choices": [{"index": 0, "mess')


async def _request(reader: asyncio.StreamReader) -> Asked | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.rstrip().split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(path=first.split(" ")[1], headers=headers, body=json.loads(body) if body else {})
