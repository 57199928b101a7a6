"""What requests need and which models have it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.capabilities import Limits, Needs, needs_of

WORDS = ["tools", "vision", "audio", "json_schema", "logprobs"]
needs = st.builds(
    Needs,
    capabilities=st.frozensets(st.sampled_from(WORDS)),
    prompt_tokens=st.integers(0, 10_000),
    output_tokens=st.integers(0, 10_000),
)
limits = st.builds(
    Limits,
    capabilities=st.none() | st.frozensets(st.sampled_from(WORDS)),
    context_tokens=st.none() | st.integers(1, 10_000),
    max_output_tokens=st.none() | st.integers(1, 10_000),
)


def user(content: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}]}


@pytest.mark.parametrize(
    ("body", "capability"),
    [
        (user("x") | {"tools": [{"type": "function"}]}, "tools"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "tools"),
        (user([{"type": "image_url", "image_url": {"url": "u"}}]), "vision"),
        (user([{"type": "input_audio", "input_audio": {}}]), "audio"),
        (user("x") | {"response_format": {"type": "json_schema"}}, "json_schema"),
        (user("x") | {"logprobs": True}, "logprobs"),
    ],
)
def test_each_field_needs_its_capability(body: dict[str, Any], capability: str) -> None:
    assert needs_of(body).capabilities == {capability}


@pytest.mark.parametrize(
    "extra",
    [{}, {"tools": []}, {"logprobs": False}, {"response_format": {"type": "json_object"}}, {"response_format": None}],
)
def test_ordinary_requests_need_nothing(extra: dict[str, Any]) -> None:
    assert needs_of(user("x") | extra).capabilities == frozenset()


def test_the_newer_word_for_the_output_limit_counts_first() -> None:
    assert needs_of(user("x") | {"max_tokens": 5, "max_completion_tokens": 7}).output_tokens == 7
    assert needs_of(user("x") | {"max_tokens": 5}).output_tokens == 5


@given(st.text(), st.text())
def test_a_longer_prompt_never_needs_less(text: str, more: str) -> None:
    assert needs_of(user(text)).prompt_tokens <= needs_of(user(text + more)).prompt_tokens
    assert needs_of(user(text)).prompt_tokens == needs_of(user([{"type": "text", "text": text}])).prompt_tokens


def test_the_guess_is_near_for_english() -> None:
    assert 90 <= needs_of(user("The quick brown fox jumps over it. " * 12)).prompt_tokens <= 120


@given(needs)
def test_a_model_of_which_nothing_is_known_is_trusted(wanted: Needs) -> None:
    assert Limits().why_not(wanted) is None


@given(limits, needs)
def test_a_refusal_is_exactly_a_limit_that_is_passed(model: Limits, wanted: Needs) -> None:
    lacks = model.capabilities is not None and not wanted.capabilities <= model.capabilities
    writes = model.max_output_tokens is not None and wanted.output_tokens > model.max_output_tokens
    holds = model.context_tokens is not None and wanted.prompt_tokens + wanted.output_tokens > model.context_tokens
    assert (model.why_not(wanted) is not None) == (lacks or writes or holds)
