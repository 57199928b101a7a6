"""Whatever a client sends is a request or a refusal by name; whatever a model says is an answer and a stream."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.capabilities import needs_of, prompt_tokens
from gateway.dialects.anthropic.request import MESSAGES
from gateway.dialects.chat.request import CHAT
from gateway.dialects.dialect import Asked, Dialect
from gateway.dialects.legacy.request import LEGACY
from gateway.dialects.responses.request import RESPONSES
from gateway.errors import InvalidRequest, UpstreamFailed
from gateway.ledger.bounds import call_bound
from router.hints import without_hints
from tests.fuzzing import cases
from tests.unit.gateway.dialects.bodies import DECISION, completion, json_values, nearly

TOOL = {"name": "f", "description": "d", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}}
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}
VALID: dict[Dialect, dict[str, Any]] = {
    CHAT: {
        "model": "m",
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "s"}]},
            {"role": "user", "content": "u"},
            {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "function": {"name": "f"}}]},
            {"role": "tool", "tool_call_id": "c", "content": "r"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}},
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 5,
        "n": 2,
    },
    LEGACY: {"model": "m", "prompt": "p", "echo": True, "logprobs": 2, "best_of": 1, "stream": True, "stop": ["a"]},
    RESPONSES: {
        "model": "m",
        "instructions": "i",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "t"}]},
            {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_image", "image_url": "u", "detail": "low"}],
            },
            {"type": "reasoning", "summary": []},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "o"},
            {"type": "custom_tool_call", "call_id": "d", "name": "g", "input": "i"},
            {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
        ],
        "tools": [{"type": "function", "name": "f", "parameters": {}}, {"type": "custom", "name": "g"}],
        "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {}}, "verbosity": "low"},
        "reasoning": {"effort": "low", "summary": "auto"},
        "include": ["message.output_text.logprobs"],
        "stream": True,
    },
    MESSAGES: {
        "model": "m",
        "max_tokens": 5,
        "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "t"}, IMAGE]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "h", "signature": "s"},
                    {"type": "text", "text": "t"},
                    {"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}},
                ],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": [IMAGE]}]},
        ],
        "tools": [TOOL],
        "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
        "thinking": {"type": "enabled", "budget_tokens": 1},
        "metadata": {"user_id": "u"},
        "stop_sequences": ["x"],
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {}}},
        "stream": True,
    },
}
CALL = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
ANSWER: dict[str, Any] = {
    "id": "up",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "t",
                "refusal": None,
                "reasoning_content": "r",
                "thinking_blocks": [{"type": "thinking", "thinking": "r", "signature": "s"}],
                "tool_calls": [CALL, {**CALL, "id": "d"}],
            },
            "logprobs": {"content": [{"token": "t", "logprob": -1.0, "top_logprobs": [{"token": "t", "logprob": -1}]}]},
            "finish_reason": "tool_calls",
        }
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1},
}
CHUNK: dict[str, Any] = {
    "choices": [{"index": 0, "delta": ANSWER["choices"][0]["message"], "logprobs": None, "finish_reason": None}]
}
dialects = pytest.mark.parametrize("dialect", list(VALID), ids=lambda dialect: dialect.path)


def asked(dialect: Dialect, body: Any) -> Asked | None:
    """The request, or None where it was refused as it should be."""
    refusal: InvalidRequest
    try:
        return dialect.parse(orjson.dumps(body), "dec_1")
    except InvalidRequest as refused:
        refusal = refused
    assert refusal.status == 400
    assert refusal.message.endswith(".")
    assert refusal.param is None or refusal.message.startswith(refusal.param)
    return None


@dialects
def test_the_valid_ones_are_taken(dialect: Dialect) -> None:
    assert asked(dialect, VALID[dialect]) is not None


@dialects
@cases(60)
@given(st.data())
def test_any_json_is_a_request_or_refused_by_name(dialect: Dialect, data: st.DataObject) -> None:
    body = data.draw(nearly(VALID[dialect]) | json_values)
    taken = asked(dialect, body)
    if taken is None:
        return
    inner = taken.request.body
    assert inner["messages"]
    needs_of(inner)
    assert prompt_tokens(inner) >= 1
    call_bound(inner)
    without_hints(inner, frozenset())
    orjson.dumps(inner)


@dialects
@cases(60)
@given(st.binary(max_size=60))
def test_any_bytes_are_refused(dialect: Dialect, raw: bytes) -> None:
    with pytest.raises(InvalidRequest):
        dialect.parse(raw, "dec_1")


def is_answer(body: Any) -> bool:
    """What router/backends/reading.py lets through."""
    choices = body.get("choices") if isinstance(body, dict) else None
    return (
        isinstance(choices, list)
        and bool(choices)
        and all(isinstance(choice, dict) and isinstance(choice.get("message"), dict) for choice in choices)
        and isinstance(choices[0]["message"].get("tool_calls") or [], list)
        and all(isinstance(call, dict) for call in choices[0]["message"].get("tool_calls") or [])
    )


@dialects
@cases(60)
@given(nearly(ANSWER).filter(is_answer))
def test_any_answer_can_be_told_whole_and_as_a_stream(dialect: Dialect, body: dict[str, Any]) -> None:
    request = asked(dialect, VALID[dialect])
    assert request is not None
    orjson.dumps(request.render(completion(body)))
    writer = request.writer()
    written = writer.begin(DECISION, {"tier": 1}) + writer.end(completion(body))
    assert written.endswith(b"\n\n")


@dialects
@cases(60)
@given(st.lists(nearly(CHUNK).filter(lambda chunk: is_chunk(chunk)), max_size=4))
def test_any_chunks_can_be_streamed(dialect: Dialect, chunks: list[dict[str, Any]]) -> None:
    request = asked(dialect, VALID[dialect])
    assert request is not None
    writer = request.writer()
    writer.begin(DECISION, None)
    for chunk in chunks:
        writer.live(chunk)
    assert writer.end(completion(ANSWER, live=True)).endswith(b"\n\n")
    assert b"upstream_failed" in writer.fail(UpstreamFailed("It failed.", status=502, code="upstream_failed"))


def is_chunk(chunk: Any) -> bool:
    """What router/streaming.py lets through."""
    from router.errors import BrokenStream
    from router.streaming import Assembly

    try:
        Assembly().add(chunk)
    except BrokenStream:
        return False
    return True
