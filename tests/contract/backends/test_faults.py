"""What a misbehaving server does to a caller: always one named error, never a wrong answer, never a secret."""

import asyncio
import json
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from router.backends.backend import Chunk
from router.backends.build import BackendKind, build
from router.errors import (
    BackendBroken,
    BackendBusy,
    BackendError,
    BackendMissing,
    BackendNonsense,
    BackendRefused,
    BackendTimeout,
    BackendUnauthorized,
    BackendUnreachable,
)
from tests import upstream as up
from tests.contract.backends.conftest import KEY, Bench, benched, let_litellm_go, spec_for
from tests.wire import chunk_of, chunks_of, completion, event, usage_of

HELLO = event(chunk_of({"role": "assistant", "content": "hello"}))
END = event(chunk_of({}, finish_reason="stop"))
DONE = b"data: [DONE]\n\n"
CAFE = event(chunk_of({"content": "café"}))

REFUSALS = [
    (400, BackendRefused),
    (401, BackendUnauthorized),
    (403, BackendUnauthorized),
    (404, BackendMissing),
    (408, BackendTimeout),
    (422, BackendRefused),
    (429, BackendBusy),
    (500, BackendBroken),
    (502, BackendBroken),
    (503, BackendBusy),
    (504, BackendTimeout),
]
# Both kinds of a billed failure will do where litellm says no more than that something was wrong.
BILLED = (BackendBroken, BackendNonsense)
WHOLE = {
    "error in 200": (up.error_in_200("odd"), BILLED),
    "error in 200 naming 429": (up.error_in_200("slow down", 429), (BackendBusy,)),
    "no choices": (up.empty_choices(), (BackendNonsense,)),
    "HTML": (up.raw(b"<html>Welcome</html>", content_type="text/html"), BILLED),
    "truncated JSON": (up.truncated_json(), (BackendNonsense,)),
    "a list": (up.raw(b"[]"), BILLED),
    "half a character": (up.raw(b'{"id": "caf\xc3'), BILLED),
    "resets the connection": (up.die("before_headers"), (BackendBroken,)),
    "dies after its headers": (up.die("after_headers"), (BackendBroken,)),
    "dies in mid-answer": (up.die("mid_stream"), (BackendBroken,)),
}
STREAMS = {
    "error in 200": (up.error_in_200("odd"), BILLED),
    "no choices": (up.empty_choices(), BILLED),
    "HTML": (up.raw(b"<html>Welcome</html>", content_type="text/html"), BILLED),
    "truncated JSON": (up.truncated_json(), BILLED),
    "resets the connection": (up.die("before_headers"), (BackendBroken,)),
    "dies after its headers": (up.die("after_headers"), (BackendBroken,)),
    "dies in mid-stream": (up.die("mid_stream"), (BackendBroken,)),
    "ends in mid-stream": (up.streamed(HELLO), (BackendBroken,)),
    "ends within a character": (up.streamed(HELLO, CAFE[: CAFE.index(b"\xa9")]), BILLED),
    "error event at once": (up.error_event("overloaded", after=""), (BackendBroken,)),
    "error event in mid-stream": (up.error_event("overloaded", 429), (BackendBroken,)),
    "garbage in mid-stream": (up.streamed(HELLO, b"data: {oops\n\n", END, DONE), BILLED),
}


async def failing(bench: Bench, *, streams: bool, timeout_s: float | None = None) -> tuple[BackendError, list[Chunk]]:
    chunks: list[Chunk] = []
    try:
        if streams:
            async with aclosing(bench.backend.stream(bench.call(timeout_s))) as stream:
                async for chunk in stream:
                    chunks.append(chunk)  # noqa: PERF401  those before the error are wanted too
        else:
            await bench.backend.complete(bench.call(timeout_s))
    except BackendError as error:
        return error, chunks
    pytest.fail("it answered")


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(("code", "kind"), REFUSALS)
async def test_a_status_is_a_kind_of_error(wired: Bench, code: int, kind: type[BackendError], streams: bool) -> None:
    wired.upstream.will(up.status(code, f"because of {KEY} or sk-somebodyelses99"))
    error, _ = await failing(wired, streams=streams)
    assert type(error) is kind
    assert "because of" in str(error)
    assert KEY not in str(error)
    assert "sk-somebodyelses99" not in str(error)
    assert len(wired.upstream.asked) == 1
    if wired.kind == "openai_compatible":
        assert error.status == code


@pytest.mark.parametrize("name", WHOLE)
async def test_a_faulty_answer_is_a_named_error(wired: Bench, name: str) -> None:
    behaviour, kinds = WHOLE[name]
    wired.upstream.will(behaviour)
    error, _ = await failing(wired, streams=False)
    assert isinstance(error, kinds), repr(error)
    assert len(wired.upstream.asked) == 1


@pytest.mark.parametrize("name", STREAMS)
async def test_a_faulty_stream_is_a_named_error(wired: Bench, name: str) -> None:
    behaviour, kinds = STREAMS[name]
    wired.upstream.will(behaviour)
    error, chunks = await failing(wired, streams=True)
    assert isinstance(error, kinds), repr(error)
    assert error.may_be_billed
    assert all(chunk.reply is None for chunk in chunks)
    assert len(wired.upstream.asked) == 1


@pytest.mark.parametrize("kind", ["openai_compatible", "hosted"])
async def test_nobody_there(kind: BackendKind, tmp_path: Path) -> None:
    backend = build(spec_for(kind, up.nobody_there(), tmp_path))
    async for bench in benched(kind, tmp_path):
        bench.backend = backend
        for streams in (False, True):
            error, _ = await failing(bench, streams=streams)
            assert type(error) is BackendUnreachable
            assert error.retryable
            assert not error.may_be_billed
    await backend.aclose()
    await let_litellm_go()


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("phase", ["before_headers", "after_headers", "mid_stream"])
async def test_silence_ends_with_the_calls_own_timeout(wired: Bench, phase: up.Phase, streams: bool) -> None:
    wired.upstream.will(up.hang(phase))
    error, _ = await failing(wired, streams=streams, timeout_s=0.15)
    assert type(error) is BackendTimeout
    assert error.may_be_billed
    await (await wired.upstream.reached()).hung_up.wait()


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("phase", ["before_headers", "after_headers", "mid_stream"])
async def test_a_cancelled_call_hangs_up_on_the_upstream(wired: Bench, phase: up.Phase, streams: bool) -> None:
    wired.upstream.will(up.hang(phase))
    task = asyncio.create_task(failing(wired, streams=streams))
    asked = await wired.upstream.reached()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asked.hung_up.wait()


async def test_a_closed_stream_hangs_up_on_the_upstream(wired: Bench) -> None:
    wired.upstream.will(up.hang("mid_stream"))
    async with aclosing(wired.backend.stream(wired.call())) as chunks:
        first = await anext(chunks)
    assert first.body is not None
    assert first.body["choices"][0]["delta"]["content"] == "hello"
    await wired.upstream.asked[0].hung_up.wait()


@pytest.mark.parametrize("cut", [1, 2, 3, 7])
async def test_a_stream_may_be_cut_anywhere(wired: Bench, cut: int) -> None:
    wired.upstream.will(up.answer("héllo ✓ thére", cut=cut))
    *_, last = [chunk async for chunk in wired.backend.stream(wired.call())]
    assert last.reply is not None
    assert last.reply.answer.text == "héllo ✓ thére"


async def test_the_last_of_two_usages_counts(wired: Bench) -> None:
    usages = [{**chunk_of({}), "choices": [], "usage": usage_of(counts)} for counts in ((10, 1), (10, 2))]
    wired.upstream.will(up.streamed(HELLO, END, *map(event, usages), DONE))
    *_, last = [chunk async for chunk in wired.backend.stream(wired.call())]
    assert last.reply is not None
    assert last.reply.usage is not None
    assert last.reply.usage.completion_tokens == 2


async def test_usage_that_is_not_told_is_unknown_or_counted_but_never_zero(wired: Bench) -> None:
    wired.upstream.will(up.answer("hello there", usage=None))
    assert (await wired.backend.complete(wired.call())).usage is None
    *_, last = [chunk async for chunk in wired.backend.stream(wired.call())]
    assert last.reply is not None
    usage = last.reply.usage
    assert usage is None or (
        usage.source in ("counted", "estimated") and usage.prompt_tokens > 0 and usage.completion_tokens > 0
    )


async def test_tool_calls_and_log_probabilities_come_both_ways(wired: Bench) -> None:
    calls = [{"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1, "b": 2}'}}]
    wired.upstream.will(up.answer(None, tool_calls=calls))
    whole = await wired.backend.complete(wired.call())
    *_, last = [chunk async for chunk in wired.backend.stream(wired.call())]
    assert last.reply is not None
    for answer in (whole.answer, last.reply.answer):
        assert answer.text == ""
        assert answer.finish_reason == "tool_calls"
        assert [call["function"] for call in answer.tool_calls] == [calls[0]["function"]]
    wired.upstream.will(up.answer("hi", logprobs=(-0.5, -0.25)))
    whole = await wired.backend.complete(wired.call(logprobs=True))
    *_, last = [chunk async for chunk in wired.backend.stream(wired.call(logprobs=True))]
    assert last.reply is not None
    assert whole.answer.token_logprobs == last.reply.answer.token_logprobs == (-0.5, -0.25)


async def test_what_is_sent(wired: Bench) -> None:
    wired.upstream.will(up.answer())
    await wired.backend.complete(wired.call(temperature=0, vendor_field={"x": 1}))
    [chunk async for chunk in wired.backend.stream(wired.call())]
    whole, streamed = wired.upstream.asked
    assert whole.path == "/v1/chat/completions"
    assert whole.headers["authorization"] == f"Bearer {KEY}"
    assert (whole.body["model"], whole.body["temperature"], whole.body["vendor_field"]) == ("up-small", 0, {"x": 1})
    assert not whole.streams
    assert streamed.body["stream_options"] == {"include_usage": True}


async def test_a_caller_cannot_send_the_call_elsewhere(wired: Bench) -> None:
    evil = up.nobody_there()
    fields: dict[str, Any] = dict.fromkeys(("api_base", "base_url"), evil)
    fields |= dict.fromkeys(("api_key", "custom_llm_provider", "mock_response"), "theirs")
    reply = await wired.backend.complete(wired.call(**fields, extra_headers={"authorization": "theirs"}))
    assert reply.answer.text == "hello there"
    assert wired.upstream.asked[0].headers["authorization"] == f"Bearer {KEY}"


async def test_a_server_that_does_not_stream_is_understood(tmp_path: Path) -> None:
    async for bench in benched("openai_compatible", tmp_path):
        bench.upstream.will(up.raw(json.dumps(completion("hello there")).encode()))
        chunks = [chunk async for chunk in bench.backend.stream(bench.call())]
        assert chunks[-1].reply is not None
        assert chunks[-1].reply.answer.text == "hello there"
        assert chunks[-1].reply.usage is not None


async def test_strange_but_good_streams(tmp_path: Path) -> None:
    filters = event({"id": "", "choices": [], "prompt_filter_results": [{}]})
    good = [event(chunk) for chunk in chunks_of("hello there", (10, 2))]
    crlf = b"".join(good).replace(b"\n", b"\r\n")
    streams = {
        "comments": (b": waiting\n\n", *good, DONE),
        "a note without choices first": (filters, *good, DONE),
        "CRLF and no last blank line": (crlf, b"data: [DONE]"),
        "silence behind [DONE]": (*good, DONE, b": and so on\n\n"),
    }
    async for bench in benched("openai_compatible", tmp_path):
        for events in streams.values():
            bench.upstream.will(up.streamed(*events))
            chunks = [chunk async for chunk in bench.backend.stream(bench.call())]
            assert chunks[-1].reply is not None
            assert chunks[-1].reply.answer.text == "hello there"
            assert {chunk.body["id"] for chunk in chunks if chunk.body} == {"up-1"}
