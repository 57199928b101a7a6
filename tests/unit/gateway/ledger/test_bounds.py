"""Bounds of a call: nothing that a tokenizer may make of a body is above them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger.bounds import call_bound

text_messages = st.lists(st.fixed_dictionaries({"role": st.just("user"), "content": st.text()}), max_size=4)


@given(text_messages)
def test_a_text_has_no_more_tokens_than_bytes(messages: list[dict[str, str]]) -> None:
    bound = call_bound({"messages": messages})
    assert bound.prompt_tokens is not None
    assert bound.prompt_tokens >= sum(len(message["content"].encode()) for message in messages)


@pytest.mark.parametrize(
    "content",
    [
        [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}],
        [{"type": "text", "text": "x"}, {"type": "input_audio", "input_audio": {}}],
        [None],
        5,
    ],
)
def test_a_picture_has_no_bound(content: Any) -> None:
    assert call_bound({"messages": [{"role": "user", "content": content}]}).prompt_tokens is None


def test_parts_of_text_and_calls_of_tools_have_one() -> None:
    said = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}
    parts = {"role": "user", "content": [{"type": "text", "text": "x"}]}
    assert call_bound({"messages": [said, parts]}).prompt_tokens is not None


def test_tools_and_formats_count_too() -> None:
    plain = call_bound({"messages": []}).prompt_tokens or 0
    tools = call_bound({"messages": [], "tools": [{"type": "function"}]}).prompt_tokens or 0
    both = call_bound({"messages": [], "tools": [{"type": "function"}], "response_format": {"x": "y" * 99}})
    assert plain < tools < (both.prompt_tokens or 0) - 99


@pytest.mark.parametrize(
    ("body", "limit", "expected"),
    [
        ({"max_tokens": 10}, None, 10),
        ({"max_completion_tokens": 10}, 5, 5),
        ({"max_tokens": 10, "max_completion_tokens": 20}, 100, 20),  # who knows which of them an upstream heeds
        ({}, 7, 7),
        ({}, None, None),
        ({"max_tokens": 0}, None, None),
        ({"max_tokens": True}, None, None),
        ({"max_tokens": "10"}, None, None),
    ],
)
def test_an_answer_is_as_long_as_request_and_model_allow(
    body: dict[str, Any], limit: int | None, expected: int | None
) -> None:
    assert call_bound(body).output_limit(limit) == expected


@pytest.mark.parametrize(("body", "choices"), [({}, 1), ({"n": 3}, 3), ({"n": 0}, 1), ({"n": 2, "best_of": 5}, 5)])
def test_every_choice_is_paid_for(body: dict[str, Any], choices: int) -> None:
    assert call_bound(body).choices == choices


@pytest.mark.parametrize("messages", ["x", None, 5, {}, ["x"], [{"content": "\ud800"}], [{"content": 2**70}]])
def test_nothing_in_a_body_upsets_it(messages: Any) -> None:
    call_bound({"messages": messages})
