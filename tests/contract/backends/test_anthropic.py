"""Claude behind litellm: an upstream of Anthropic's shape, whole and streamed, with tools, cached tokens and errors."""

import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from router.backends.backend import Backend, Call
from router.backends.build import BackendSpec, build
from router.errors import BackendBusy, BackendRefused
from tests.contract.backends.conftest import let_litellm_go
from tests.upstream import BadUpstream, Exchange

MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello"}]
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
USAGE = {
    "input_tokens": 5,
    "cache_creation_input_tokens": 3,
    "cache_read_input_tokens": 20,
    "output_tokens": 7,
}
FRAME = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5"}


@pytest.fixture
async def upstream() -> AsyncGenerator[BadUpstream]:
    async with BadUpstream() as one:
        yield one
    await let_litellm_go()


def backend(upstream: BadUpstream) -> Backend:
    return build(
        BackendSpec(
            model="claude",
            kind="hosted",
            upstream_model="anthropic/claude-sonnet-4-5",
            base_url=upstream.base_url.removesuffix("/v1"),
            api_key="sk-ant-secret",
            timeout_s=20,
        )
    )


def call(**fields: Any) -> Call:
    return Call(request_id="r", body={"messages": MESSAGES, "max_tokens": 50, **fields})


def whole(content: list[dict[str, Any]], stop_reason: str) -> Any:
    async def behave(exchange: Exchange) -> None:
        told = FRAME | {"content": content, "stop_reason": stop_reason, "stop_sequence": None, "usage": USAGE}
        await exchange.whole(200, json.dumps(told).encode(), {"content-type": "application/json"})

    return behave


def streamed(blocks: list[tuple[dict[str, Any], list[dict[str, Any]]]], stop_reason: str, *, ends: bool = True) -> Any:
    """Blocks as they start, each with its deltas."""
    begun: dict[str, Any] = FRAME | {
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": USAGE | {"output_tokens": 1},
    }
    events: list[dict[str, Any]] = [{"type": "message_start", "message": begun}, {"type": "ping"}]
    for index, (block, deltas) in enumerate(blocks):
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    delta = {"stop_reason": stop_reason, "stop_sequence": None}
    if ends:
        events.append({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 7}})
        events.append({"type": "message_stop"})

    async def behave(exchange: Exchange) -> None:
        await exchange.head(200, {"content-type": "text/event-stream"})
        for told in events:
            await exchange.send(f"event: {told['type']}\ndata: {json.dumps(told)}\n\n".encode())
        await exchange.end()

    return behave


async def test_a_message_with_its_cached_tokens(upstream: BadUpstream) -> None:
    upstream.will(whole([{"type": "text", "text": "hello there"}], "end_turn"))
    reply = await backend(upstream).complete(call(temperature=0.5, stop=["END"]))
    assert (reply.answer.text, reply.answer.finish_reason) == ("hello there", "stop")
    assert reply.usage is not None
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (28, 7)  # 5 + 3 written + 20 read
    assert (reply.usage.cached_prompt_tokens, reply.usage.cache_write_tokens) == (20, 3)
    asked = upstream.asked[0]
    assert asked.path.endswith("/v1/messages")
    assert asked.headers["x-api-key"] == "sk-ant-secret"
    assert asked.body["system"] in ("Be brief.", [{"type": "text", "text": "Be brief."}])
    assert (asked.body["max_tokens"], asked.body["temperature"], asked.body["stop_sequences"]) == (50, 0.5, ["END"])


async def test_a_stream_and_its_counts(upstream: BadUpstream) -> None:
    deltas = [{"type": "text_delta", "text": text} for text in ("hel", "lo ", "there")]
    upstream.will(streamed([({"type": "text", "text": ""}, deltas)], "end_turn"))
    chunks = [chunk async for chunk in backend(upstream).stream(call())]
    reply = chunks[-1].reply
    assert reply is not None
    assert (reply.answer.text, reply.answer.finish_reason) == ("hello there", "stop")
    assert reply.usage is not None
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (28, 7)
    assert (reply.usage.cached_prompt_tokens, reply.usage.cache_write_tokens) == (20, 3)
    said = "".join(c["delta"].get("content") or "" for chunk in chunks for c in (chunk.body or {}).get("choices", ()))
    assert said == "hello there"


async def test_tools_whole_and_streamed(upstream: BadUpstream) -> None:
    used = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Ulm"}}
    parts = [{"type": "input_json_delta", "partial_json": text} for text in ('{"city"', ': "Ulm"}')]
    upstream.will(whole([used], "tool_use"), streamed([(used | {"input": {}}, parts)], "tool_use"))
    one = await backend(upstream).complete(call(tools=[TOOL]))
    *_, last = [chunk async for chunk in backend(upstream).stream(call(tools=[TOOL]))]
    assert last.reply is not None
    for reply in (one, last.reply):
        (called,) = reply.answer.tool_calls
        assert (called["id"], called["function"]["name"]) == ("toolu_1", "weather")
        assert json.loads(called["function"]["arguments"]) == {"city": "Ulm"}
        assert reply.answer.finish_reason == "tool_calls"
    assert upstream.asked[0].body["tools"][0]["name"] == "weather"


@pytest.mark.parametrize(
    ("status", "kind", "error"),
    [(400, "invalid_request_error", BackendRefused), (529, "overloaded_error", BackendBusy)],
)
async def test_errors_are_told_apart(upstream: BadUpstream, status: int, kind: str, error: type[Exception]) -> None:
    async def refuse(exchange: Exchange) -> None:
        told = {"type": "error", "error": {"type": kind, "message": "no"}}
        await exchange.whole(status, json.dumps(told).encode(), {"content-type": "application/json"})

    upstream.will(refuse)
    with pytest.raises(error):
        await backend(upstream).complete(call())
