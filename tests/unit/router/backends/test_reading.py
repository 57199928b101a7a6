"""Answers and counts in an upstream's object: read as they are meant, refused where they cannot be right."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.backends.reading import read_answer, read_reply, read_usage
from router.errors import BackendNonsense
from scorer.answer import Usage
from tests.wire import completion


def with_message(**fields: Any) -> dict[str, Any]:
    body = completion("x")
    body["choices"][0]["message"] = {"role": "assistant", **fields}
    return body


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": "hi"}, "hi"),
        ({"content": None}, ""),
        ({}, ""),
        ({"content": None, "refusal": "I will not."}, "I will not."),
        ({"content": [{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}]}, "ab"),
    ],
)
def test_the_text_of_a_message(message: dict[str, Any], text: str) -> None:
    assert read_answer("m", with_message(**message)).text == text


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"choices": None},
        {"choices": []},
        {"choices": ["x"]},
        {"choices": [{}]},
        {"choices": [{"message": "x"}]},
        {"choices": [{"message": {}}, 7]},
        {"choices": [{"message": {"tool_calls": "x"}}]},
        {"choices": [{"message": {"tool_calls": [1]}}]},
    ],
)
def test_what_is_no_answer_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(BackendNonsense):
        read_answer("m", body)


@pytest.mark.parametrize(
    "logprobs", [None, {}, {"content": None}, {"content": []}, {"content": [{}]}, {"content": ["x"]}, "x"]
)
def test_log_probabilities_are_never_made_up(logprobs: Any) -> None:
    body = completion("x")
    body["choices"][0]["logprobs"] = logprobs
    assert read_answer("m", body).token_logprobs is None


def test_the_reply_bears_our_name_and_the_rest_as_it_came() -> None:
    reply = read_reply("ours", completion("x") | {"unheard_of": 1}, latency_s=0.5)
    assert (reply.body["model"], reply.body["unheard_of"], reply.answer.model) == ("ours", 1, "ours")


def test_usage_that_cannot_be_right_is_not_passed_on() -> None:
    reply = read_reply("m", completion("x") | {"usage": {"prompt_tokens": 0, "completion_tokens": 0}}, latency_s=0.5)
    assert reply.usage is None
    assert "usage" not in reply.body


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        ({}, {}),
        ({"prompt_tokens_details": {"cached_tokens": 4}}, {"cached_prompt_tokens": 4}),
        ({"prompt_tokens_details": {"cached_tokens": None}}, {}),
        ({"prompt_tokens_details": None}, {}),
        ({"prompt_cache_hit_tokens": 3, "prompt_cache_miss_tokens": 7}, {"cached_prompt_tokens": 3}),
        (
            {"cache_read_input_tokens": 3, "cache_creation_input_tokens": 2},
            {"cached_prompt_tokens": 3, "cache_write_tokens": 2},
        ),
        (  # counted beside the prompt, as Anthropic does, and as the total says
            {"cache_read_input_tokens": 3, "cache_creation_input_tokens": 2, "total_tokens": 20},
            {"prompt_tokens": 15, "cached_prompt_tokens": 3, "cache_write_tokens": 2},
        ),
        ({"cache_read_input_tokens": 50}, {"prompt_tokens": 60, "cached_prompt_tokens": 50}),
        ({"prompt_tokens_details": {"audio_tokens": 4}}, {"audio_prompt_tokens": 4}),
        ({"completion_tokens_details": {"audio_tokens": 4}}, {"audio_completion_tokens": 4}),
        ({"completion_tokens_details": {"reasoning_tokens": 2}}, {"reasoning_tokens": 2}),
        (
            {"completion_tokens_details": {"reasoning_tokens": 30}, "total_tokens": 45},
            {"completion_tokens": 35, "reasoning_tokens": 30},
        ),
    ],
)
def test_the_dialects_of_usage(usage: dict[str, Any], read: dict[str, Any]) -> None:
    expected = Usage(**{"prompt_tokens": 10, "completion_tokens": 5, **read})
    assert read_usage({"prompt_tokens": 10, "completion_tokens": 5, **usage}) == expected


@pytest.mark.parametrize(
    "usage",
    [
        None,
        "x",
        {},
        {"prompt_tokens": 0, "completion_tokens": 0},
        {"prompt_tokens": 1},
        {"prompt_tokens": -1, "completion_tokens": 1},
        {"prompt_tokens": True, "completion_tokens": 1},
        {"prompt_tokens": 1.5, "completion_tokens": 1},
        {"prompt_tokens": 10**12, "completion_tokens": 1},
        {"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 6}},
        {"prompt_tokens": 5, "completion_tokens": 1, "completion_tokens_details": {"reasoning_tokens": 6}},
    ],
)
def test_counts_that_cannot_be_right_are_unknown(usage: Any) -> None:
    assert read_usage(usage) is None


Counts = dict[str, Any]
counts = st.one_of(st.integers(-2, 30), st.none(), st.booleans(), st.text(max_size=2))


def some_of(*names: str) -> st.SearchStrategy[Counts]:
    return st.dictionaries(st.sampled_from(names), counts)


details = some_of("cached_tokens", "reasoning_tokens", "cache_write_tokens")


@given(some_of("prompt_tokens", "completion_tokens", "total_tokens", "reasoning_tokens"), details, details)
def test_usage_is_consistent_or_unknown(usage: Counts, prompt: Counts, produced: Counts) -> None:
    read = read_usage({**usage, "prompt_tokens_details": prompt, "completion_tokens_details": produced})
    if read is not None:
        assert 0 <= read.cached_prompt_tokens + read.cache_write_tokens <= read.prompt_tokens
        assert 0 <= read.reasoning_tokens <= read.completion_tokens
        assert read.prompt_tokens > 0
