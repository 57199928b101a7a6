"""Sizes, phases and connections of an exchange, against a server that misbehaves."""

import asyncio
import gzip
import time
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.backends.backend import Call
from router.backends.http import Exchange, Limits
from router.backends.openai_compatible import OpenAICompatible
from router.errors import BackendBroken, BackendError, BackendNonsense, BackendTimeout, BackendUnreachable
from tests import upstream as up
from tests.fuzzing import cases
from tests.wire import chunk_of, event

CALL = Call(request_id="r", body={"messages": []})


async def outcome(backend: OpenAICompatible, call: Call = CALL, *, streams: bool) -> BackendError | str:
    try:
        if streams:
            last = [chunk async for chunk in backend.stream(call)][-1]
            assert last.reply is not None
            return last.reply.answer.text
        return (await backend.complete(call)).answer.text
    except BackendError as error:
        return error
    finally:
        await backend.aclose()


def backend_at(base_url: str, **limits: Any) -> OpenAICompatible:
    return OpenAICompatible("m", base_url=base_url, limits=Limits(**{"total_s": 30.0, "connect_s": 5.0, **limits}))


@pytest.mark.parametrize("streams", [False, True])
async def test_an_answer_may_be_as_large_as_the_limit_and_no_larger(streams: bool) -> None:
    async with up.BadUpstream() as upstream:
        upstream.will(up.huge(200_000))
        assert await outcome(backend_at(upstream.base_url, max_bytes=300_000), streams=streams) == "x" * 200_000
        error = await outcome(backend_at(upstream.base_url, max_bytes=150_000), streams=streams)
        assert isinstance(error, BackendNonsense)
        assert "larger than 150000 bytes" in error.message


@pytest.mark.parametrize("streams", [False, True])
async def test_a_compressed_answer_is_not_unfolded(streams: bool) -> None:
    bomb = gzip.compress(b"0" * 10_000_000)
    async with up.BadUpstream() as upstream:
        upstream.will(up.raw(bomb, headers={"content-encoding": "gzip"}))
        error = await outcome(backend_at(upstream.base_url), streams=streams)
        assert isinstance(error, BackendNonsense)
        assert upstream.asked[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("phase", ["before_headers", "after_headers"])
async def test_a_stream_must_begin_in_time(phase: up.Phase) -> None:
    async with up.BadUpstream() as upstream:
        upstream.will(up.hang(phase))
        error = await outcome(backend_at(upstream.base_url, first_token_s=0.1), streams=True)
        assert isinstance(error, BackendTimeout)


async def test_a_stream_must_go_on_in_time() -> None:
    async with up.BadUpstream() as upstream:
        upstream.will(up.hang("mid_stream"))
        error = await outcome(backend_at(upstream.base_url, first_token_s=20.0, idle_s=0.1), streams=True)
        assert isinstance(error, BackendTimeout)


def trickling(first: bytes) -> up.Behaviour:
    async def trickle(exchange: up.Exchange) -> None:
        await exchange.head(200, {"content-type": "text/event-stream"})
        await exchange.send(first)
        while True:
            await exchange.send(b": still here\n\n" + event(chunk_of({"content": ""})))
            await asyncio.sleep(0.01)  # it has nothing to wait for: it goes on until the client goes

    return trickle


ROLE, WORD = event(chunk_of({"role": "assistant"})), event(chunk_of({"content": "hello"}))


@pytest.mark.parametrize(
    ("first", "limits"),
    [
        (ROLE, {"total_s": 0.2, "idle_s": 0.1}),
        (ROLE, {"first_token_s": 0.2, "idle_s": 0.1}),
        (WORD, {"first_token_s": 20.0, "idle_s": 0.2}),
    ],
)
async def test_an_endless_trickle_that_says_nothing_is_silence(first: bytes, limits: dict[str, float]) -> None:
    async with up.BadUpstream() as upstream:
        upstream.will(trickling(first))
        error = await outcome(backend_at(upstream.base_url, **limits), streams=True)
        assert isinstance(error, BackendTimeout)


async def test_a_slow_reader_is_no_silence_of_the_upstream() -> None:
    response = Endless()
    exchange = Exchange("m", response, Limits(total_s=50.0, connect_s=5.0, idle_s=0.05), started=time.monotonic())
    for _ in range(3):
        assert await exchange.piece() == b"x"
        exchange.heard()
        await asyncio.sleep(0.06)


async def test_what_is_left_of_the_deadline_is_told_upstream() -> None:
    async with up.BadUpstream() as upstream:
        await outcome(backend_at(upstream.base_url), Call(request_id="r", body={}, timeout_s=7.5), streams=False)
        assert upstream.asked[0].headers["x-request-timeout"] == "7.500"


class Endless:
    """A response whose next bytes are always there already."""

    status = 200
    headers: Mapping[str, str] = {}
    content_type = "text/event-stream"

    def __init__(self) -> None:
        self.content = self

    async def readany(self) -> bytes:
        return b"x"


async def test_an_endless_flood_ends_with_the_total() -> None:
    exchange = Exchange("m", Endless(), Limits(total_s=5.0, connect_s=5.0), started=time.monotonic() - 4.0)
    assert await exchange.piece() == b"x"
    exchange = Exchange("m", Endless(), Limits(total_s=5.0, connect_s=5.0), started=time.monotonic() - 6.0)
    with pytest.raises(BackendTimeout):
        await exchange.piece()


async def test_the_headers_of_an_answer_need_not_come_before_its_first_byte_is_due() -> None:
    """Those who do not stream say nothing until the answer is whole: only the total holds for them."""
    async with up.BadUpstream() as upstream:
        upstream.will(up.hang("before_headers"))
        call = Call(request_id="r", body={}, timeout_s=0.2)
        error = await outcome(backend_at(upstream.base_url, first_token_s=0.01), call, streams=False)
        assert isinstance(error, BackendTimeout)
        assert "0.2 s" in error.message


@pytest.mark.parametrize("code", [302, 307, 308])
async def test_a_redirect_is_not_followed(code: int) -> None:
    async with up.BadUpstream() as upstream:
        upstream.will(up.raw(b"", code=code, headers={"location": upstream.base_url + "/chat/completions"}))
        error = await outcome(backend_at(upstream.base_url), streams=False)
        assert isinstance(error, BackendNonsense)
        assert error.status == code
        assert len(upstream.asked) == 1


async def test_what_is_not_http_is_an_error() -> None:
    async with up.BadUpstream() as upstream:

        async def garble(exchange: up.Exchange) -> None:
            await exchange.send(b"SSH-2.0-OpenSSH\r\n\r\n")
            exchange.die()

        upstream.will(garble)
        error = await outcome(backend_at(upstream.base_url), streams=False)
        assert isinstance(error, BackendNonsense | BackendBroken)


async def test_a_closed_backend_is_unreachable() -> None:
    backend = backend_at(up.nobody_there())
    await backend.aclose()
    assert isinstance(await outcome(backend, streams=False), BackendUnreachable)


class Counting(up.BadUpstream):
    """Counts the connections that it accepts."""

    connections = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        await super()._serve(reader, writer)


@pytest.mark.parametrize("streams", [False, True])
async def test_one_connection_serves_many_calls(streams: bool) -> None:
    async with Counting() as upstream:
        backend = backend_at(upstream.base_url)
        for _ in range(5):
            chunks = [chunk async for chunk in backend.stream(CALL)] if streams else [await backend.complete(CALL)]
            assert chunks
        await backend.aclose()
    assert upstream.connections == 1


async def test_the_end_behind_done_is_read_so_that_the_connection_serves_again(monkeypatch: pytest.MonkeyPatch) -> None:
    draining = asyncio.Event()
    drain = Exchange.drain

    async def watched(exchange: Exchange) -> None:
        draining.set()
        await drain(exchange)

    async def late(exchange: up.Exchange) -> None:
        await exchange.head(200, {"content-type": "text/event-stream"})
        await exchange.send(event(chunk_of({"content": "hi"}, finish_reason="stop")) + b"data: [DONE]\n\n")
        await draining.wait()
        await exchange.end()

    monkeypatch.setattr(Exchange, "drain", watched)
    monkeypatch.setattr("router.backends.http._DRAIN_S", 20.0)
    async with Counting() as upstream:
        upstream.will(late)
        backend = backend_at(upstream.base_url)
        for _ in range(2):
            assert [chunk async for chunk in backend.stream(CALL)]
        await backend.aclose()
    assert upstream.connections == 1


async def test_the_reply_does_not_wait_for_a_connection_that_stays_open_behind_done() -> None:
    async def linger(exchange: up.Exchange) -> None:
        await exchange.head(200, {"content-type": "text/event-stream"})
        await exchange.send(event(chunk_of({"content": "hi"}, finish_reason="stop")) + b"data: [DONE]\n\n")
        await exchange.until_hung_up()

    async with up.BadUpstream() as upstream:
        upstream.will(linger)
        assert await outcome(backend_at(upstream.base_url), streams=True) == "hi"
        await upstream.asked[0].hung_up.wait()


garbage = st.sampled_from(
    [
        event(chunk_of({"content": "é"})),
        event(chunk_of({}, finish_reason="stop")),
        event({"choices": [{"index": 0, "delta": {"content": 1, "tool_calls": [{}]}}]}),
        event({"choices": 1}),
        event({"error": 1}),
        event({}),
        b"data: [DONE]\n\n",
        b"data: [1]\n\n",
        b"data: ",
        b"\n\n",
    ]
)


@cases(150)
@given(
    st.lists(garbage | st.binary(max_size=30), min_size=1, max_size=6),
    st.sampled_from(["text/event-stream", "application/json"]),
)
async def test_any_bytes_are_an_answer_or_a_named_error(pieces: list[bytes], content_type: str) -> None:
    async with up.BadUpstream() as upstream:
        upstream.will(up.raw(b"".join(pieces), content_type=content_type))
        for streams in (True, False):
            assert isinstance(await outcome(backend_at(upstream.base_url), streams=streams), str | BackendError)
