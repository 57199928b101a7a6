"""What every backend promises, whatever stands behind it."""

import asyncio
from contextlib import aclosing

import pytest

from router.backends.backend import Chunk
from router.errors import BackendError
from router.streaming import Assembly
from scorer.answer import Usage
from tests.contract.backends.conftest import KEY, Bench
from tests.upstream import status


async def chunks_of(bench: Bench) -> list[Chunk]:
    async with aclosing(bench.backend.stream(bench.call())) as chunks:
        return [chunk async for chunk in chunks]


async def test_an_answer_bears_our_name_and_the_upstreams_counts(bench: Bench) -> None:
    reply = await bench.backend.complete(bench.call())
    assert bench.backend.model == "small"
    assert (reply.answer.model, reply.answer.text, reply.answer.tool_calls) == ("small", "hello there", ())
    assert reply.usage == Usage(prompt_tokens=10, completion_tokens=2)
    assert reply.body["model"] == "small"
    assert reply.body["object"] == "chat.completion"
    assert reply.body["choices"][0]["message"]["content"] == "hello there"
    assert reply.body["choices"][0]["finish_reason"] == "stop"
    assert reply.body["usage"]["prompt_tokens"] == 10
    assert reply.latency_s >= 0
    assert reply.first_token_s is None


async def test_a_stream_says_the_same(bench: Bench) -> None:
    whole = await bench.backend.complete(bench.call())
    streamed = (await chunks_of(bench))[-1].reply
    assert streamed is not None
    assert (streamed.answer, streamed.usage) == (whole.answer, whole.usage)
    for field in ("role", "content"):
        assert streamed.body["choices"][0]["message"][field] == whole.body["choices"][0]["message"][field]
    assert streamed.body["choices"][0]["finish_reason"] == whole.body["choices"][0]["finish_reason"]


async def test_a_streams_chunks_are_one_answer(bench: Bench) -> None:
    *chunks, last = await chunks_of(bench)
    assembly = Assembly()
    for chunk in (*chunks, last):
        assert chunk.body is not None
        assembly.add(chunk.body)
    assert last.reply is not None
    assert assembly.body() == last.reply.body
    bodies = [chunk.body for chunk in (*chunks, last) if chunk.body is not None]
    assert len({(body["id"], body["created"], body["model"], body["object"]) for body in bodies}) == 1
    assert bodies[0]["id"]
    assert bodies[0]["model"] == "small"
    assert bodies[0]["choices"][0]["delta"]["role"] == "assistant"
    assert all(chunk.reply is None and chunk.body and chunk.body["choices"] for chunk in chunks)
    assert all("usage" not in body for body in bodies[:-1])
    assert (bodies[-1]["choices"], bodies[-1]["usage"]["completion_tokens"]) == ([], 2)


async def test_many_calls_at_once_do_not_mix(bench: Bench) -> None:
    replies = await asyncio.gather(*(bench.backend.complete(bench.call()) for _ in range(10)))
    assert {reply.answer.text for reply in replies} == {"hello there"}
    if bench.kind != "recorded":
        assert len(bench.upstream.billed) == 10


async def test_what_it_cannot_answer_is_a_named_error(bench: Bench) -> None:
    bench.upstream.will(status(400, "no such thing"))
    call = bench.call(messages=[{"role": "user", "content": "never asked"}])
    with pytest.raises(BackendError) as raised:
        await bench.backend.complete(call)
    assert raised.value.model == "small"
    assert not raised.value.retryable
    assert not raised.value.may_be_billed
    with pytest.raises(type(raised.value)):
        [chunk async for chunk in bench.backend.stream(call)]


async def test_a_stream_may_be_left_at_any_chunk(bench: Bench) -> None:
    whole = len(await chunks_of(bench))
    for n in range(whole):
        async with aclosing(bench.backend.stream(bench.call())) as chunks:
            for _ in range(n):
                await anext(chunks)
    assert (await bench.backend.complete(bench.call())).answer.text == "hello there"


async def test_closing_twice_is_closing(bench: Bench) -> None:
    await bench.backend.complete(bench.call())
    await bench.backend.aclose()
    await bench.backend.aclose()


def test_no_key_in_any_repr(bench: Bench) -> None:
    assert KEY not in repr(bench.spec)
    assert KEY not in repr(bench.backend)
    assert KEY not in str(vars(bench.backend))
