"""A body becomes a request without loss, or is refused by the name of the parameter."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.chat.answer import render
from gateway.dialects.chat.request import parse as parse_chat
from gateway.errors import InvalidRequest
from gateway.exchange import Completion, Decision
from gateway.ledger.entry import Spent
from scorer.answer import Usage

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
MINIMAL: dict[str, Any] = {"model": "auto", "messages": [{"role": "user", "content": "hi"}]}
DECISION = Decision(
    id="dec_1",
    created=datetime(2026, 1, 1, tzinfo=UTC),
    policy="p",
    strategy_id="s",
    cache="MISS",
    model="m",
    spent=Spent(nanousd=1_500),
)


def parse(body: Any) -> Any:
    return parse_chat(orjson.dumps(body), "dec_1").request


def refusal(raw: bytes) -> InvalidRequest | None:
    try:
        parse_chat(raw, "dec_1")
    except InvalidRequest as error:
        return error
    return None


@given(st.dictionaries(st.text(min_size=1), json_values, max_size=4))
def test_unknown_fields_pass_through_untouched(extra: dict[str, Any]) -> None:
    extra = {"x_" + name: value for name, value in extra.items()}
    request = parse(MINIMAL | extra | {"stream": True, "stream_options": {"include_usage": True}})
    assert request.body == {"messages": MINIMAL["messages"]} | extra
    assert (request.model, request.stream) == ("auto", True)


@given(st.binary(max_size=200) | json_values.map(orjson.dumps))
def test_any_bytes_are_a_request_or_refused(raw: bytes) -> None:
    refused = refusal(raw)
    assert refused is None or (refused.status == 400 and refused.message.endswith("."))


@given(st.sampled_from(["temperature", "messages", "tools", "stop", "stream", "n", "response_format"]), json_values)
def test_any_value_of_a_known_field_is_taken_or_refused_by_name(name: str, value: Any) -> None:
    refused = refusal(orjson.dumps(MINIMAL | {name: value}))
    if refused is not None:
        assert refused.param is not None
        assert refused.param.startswith(name)
        assert refused.message.startswith(refused.param)


def test_what_a_scorer_sees_is_what_was_asked() -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    query = parse(MINIMAL | {"tools": tools, "response_format": {"type": "json_object"}}).query
    assert (query.id, query.messages, query.tools) == ("dec_1", tuple(MINIMAL["messages"]), tuple(tools))
    assert query.response_format == {"type": "json_object"}


@pytest.mark.parametrize("content", ["", [{"type": "text", "text": "x"}], [{"type": "anything", "x": 1}]])
def test_content_is_text_or_parts(content: Any) -> None:
    assert parse({"model": "m", "messages": [{"role": "user", "content": content}]}).query.messages


def test_an_answer_is_the_models_own_but_for_its_frame() -> None:
    body = {"id": "up", "created": 1, "model": "up", "choices": [{"x": 1}], "usage": {"prompt_tokens": 2, "more": 3}}
    rendered = render(Completion(decision=DECISION, body=body, usage=None))
    assert (rendered["id"], rendered["model"]) == ("chatcmpl-1", "m")
    assert rendered["choices"] == [{"x": 1}]
    assert rendered["usage"] == {"prompt_tokens": 2, "more": 3, "cost": 0.0000015}


def test_usage_that_the_upstream_did_not_tell_is_told_as_it_was_counted() -> None:
    usage = Usage(prompt_tokens=2, completion_tokens=3, source="counted")
    rendered = render(Completion(decision=DECISION, body={}, usage=usage))
    assert rendered["usage"] == {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5, "cost": 0.0000015}
    assert render(Completion(decision=DECISION, body={}, usage=None))["usage"] is None
