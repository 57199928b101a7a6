"""Whole answers and their chunks: what is taken apart is put together again, and nothing is lost on the way."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import BrokenStream
from router.streaming import Assembly, says_something, split
from tests.wire import chunk_of, chunks_of, completion

Json = dict[str, Any]

scalars = st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.text(max_size=5))
calls = st.builds(
    lambda number, name, arguments: {
        "id": f"call_{number}",
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    },
    st.integers(0, 99),
    st.text(min_size=1, max_size=8),
    st.text(max_size=20),
)
messages = st.builds(
    lambda content, fields, tools: {"role": "assistant", "content": content, **fields, **tools},
    st.one_of(st.none(), st.text(max_size=40)),
    st.fixed_dictionaries(
        {},
        optional={
            "refusal": st.one_of(st.none(), st.text(max_size=10)),
            "reasoning_content": st.text(max_size=20),
            "annotations": st.lists(st.fixed_dictionaries({"url": st.text(max_size=5)}), max_size=2),
            "audio": st.fixed_dictionaries({"id": st.just("a1"), "data": st.text(max_size=9)}),
            "unheard_of": scalars,
        },
    ),
    st.fixed_dictionaries({}, optional={"tool_calls": st.one_of(st.none(), st.lists(calls, max_size=3))}),
)
logprobs = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {"content": st.lists(st.fixed_dictionaries({"token": st.text(max_size=3), "logprob": st.just(-0.5)}))}
    ),
)
choices = st.fixed_dictionaries(
    {"message": messages, "finish_reason": st.sampled_from(["stop", "length", "tool_calls", "content_filter"])},
    optional={"logprobs": logprobs, "stop_reason": scalars, "filter": st.just({"hate": {"severity": "safe"}})},
)
bodies = st.builds(
    lambda choices, fields: {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": index, **choice} for index, choice in enumerate(choices)],
        **fields,
    },
    st.lists(choices, min_size=1, max_size=3),
    st.fixed_dictionaries(
        {},
        optional={
            "usage": st.fixed_dictionaries(
                {"prompt_tokens": st.integers(1, 9), "completion_tokens": st.integers(0, 9)}
            ),
            "system_fingerprint": st.one_of(st.none(), st.text(max_size=5)),
            "service_tier": st.just("default"),
            "unheard_of": scalars,
        },
    ),
)


def assemble(chunks: list[Json]) -> Json:
    assembly = Assembly()
    for chunk in chunks:
        assembly.add(chunk)
    return assembly.body()


@given(bodies)
def test_what_is_split_is_put_together_again(body: Json) -> None:
    assert assemble(split(body)) == body


@given(bodies)
def test_the_chunks_are_valid(body: Json) -> None:
    chunks = split(body)
    assert {(chunk["id"], chunk["created"], chunk["object"]) for chunk in chunks} == {
        ("chatcmpl-1", 1, "chat.completion.chunk")
    }
    spoken = [chunk for chunk in chunks if chunk["choices"]]
    assert chunks[len(spoken) :] == ([chunks[-1]] if body.get("usage") else [])  # the usage comes last, with no choices
    assert all("usage" not in chunk for chunk in spoken)
    for index, choice in enumerate(body["choices"]):
        own = [piece for chunk in spoken for piece in chunk["choices"] if piece["index"] == index]
        assert own[0]["delta"]["role"] == "assistant"
        assert [piece["finish_reason"] for piece in own] == [None] * (len(own) - 1) + [choice["finish_reason"]]
        assert all("role" not in piece["delta"] for piece in own[1:])


def test_usage_is_told_only_if_asked() -> None:
    body = completion("hi", usage=(3, 1))
    assert split(body)[-1]["usage"] == body["usage"]
    assert all(chunk["choices"] and "usage" not in chunk for chunk in split(body, usage=False))


@given(st.text(max_size=40), st.lists(st.integers(0, 40), max_size=6))
def test_text_may_come_in_any_pieces(text: str, cuts: list[int]) -> None:
    ends = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
    pieces = [text[start:end] for start, end in itertools.pairwise(ends)]
    chunks = [chunk_of({"role": "assistant", "content": ""}), *(chunk_of({"content": piece}) for piece in pieces)]
    assert assemble(chunks)["choices"][0]["message"]["content"] == text


TWO_CALLS = [
    {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}},
    {"id": "c2", "type": "function", "function": {"name": "mul", "arguments": '{"b": 2}'}},
]


def test_tool_calls_come_in_pieces_by_index() -> None:
    body = assemble(chunks_of(None, None, TWO_CALLS))
    assert body["choices"][0]["message"] == {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "tool_calls": TWO_CALLS,
    }


def test_tool_calls_without_an_index_are_told_apart_by_their_ids() -> None:
    chunks = chunks_of(None, None, TWO_CALLS)
    for chunk in chunks:
        for call in chunk["choices"][0]["delta"].get("tool_calls", ()):
            del call["index"]
    assert assemble(chunks)["choices"][0]["message"]["tool_calls"] == TWO_CALLS


def test_an_id_and_a_name_that_are_repeated_with_every_piece_are_no_pieces() -> None:
    head = {"index": 0, "id": "c1", "type": "function"}
    pieces = [{**head, "function": {"name": "add", "arguments": piece}} for piece in ("{", "}")]
    empty = {"index": 0, "id": "", "function": {"name": None, "arguments": ""}}
    body = assemble([chunk_of({"role": "assistant", "tool_calls": [piece]}) for piece in (*pieces, empty)])
    (call,) = body["choices"][0]["message"]["tool_calls"]
    assert call == {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}


def test_the_last_of_two_usages_counts() -> None:
    assembly = Assembly()
    for usage in ({"prompt_tokens": 1}, {"prompt_tokens": 2}, None):
        assembly.add({"choices": [], "usage": usage})
    assert assembly.usage == {"prompt_tokens": 2}


def test_a_late_id_is_taken_and_a_second_one_is_not() -> None:
    body = assemble([{"id": "", "choices": []}, {"id": "a", "choices": []}, {"id": "b", "choices": []}])
    assert body["id"] == "a"


def test_finished_is_when_every_choice_has_ended() -> None:
    assembly = Assembly()
    assert not assembly.finished
    assembly.add({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}, {"index": 1, "delta": {}}]})
    assert not assembly.finished
    assembly.add({"choices": [{"index": 1, "delta": {}, "finish_reason": "length"}]})
    assert assembly.finished


@pytest.mark.parametrize(
    "chunk",
    [
        {"choices": "x"},
        {"choices": [1]},
        {"choices": [{"index": "0", "delta": {}}]},
        {"choices": [{"index": 0, "delta": "x"}]},
        {"choices": [{"index": 0, "delta": {"tool_calls": ["x"]}}]},
        {"choices": [{"index": 0, "delta": {"tool_calls": 7}}]},
    ],
)
def test_what_is_no_chunk_is_refused(chunk: Json) -> None:
    with pytest.raises(BrokenStream):
        Assembly().add(chunk)


names = st.sampled_from(["index", "message", "content", "tool_calls", "function", "arguments", "id", "role", "object"])
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(names, inner, max_size=3))
fields = st.dictionaries(names, values, max_size=4)
deltas = st.one_of(fields, values)
streamed_choices = st.builds(
    lambda delta, rest: {**rest, "delta": delta}, deltas, st.dictionaries(names, values | st.integers(0, 2), max_size=3)
)
anything = st.builds(
    lambda choices, rest: {**rest, "choices": choices}, st.one_of(st.lists(streamed_choices), values), fields
)


@given(st.lists(anything, max_size=4))
def test_any_object_is_taken_or_refused_by_name(chunks: list[Json]) -> None:
    assembly = Assembly()
    try:
        for chunk in chunks:
            assembly.add(chunk)
        split(assembly.body())
    except BrokenStream:
        pass


@pytest.mark.parametrize(
    ("delta", "says"),
    [
        ({"role": "assistant", "content": ""}, False),
        ({"role": "assistant", "content": None}, False),
        ({}, False),
        ({"content": "x"}, True),
        ({"tool_calls": [{}]}, True),
        ({"reasoning_content": "hm"}, True),
    ],
)
def test_what_says_something(delta: Json, says: bool) -> None:
    assert says_something(chunk_of(delta)) is says
    assert says_something(chunk_of(delta, finish_reason="stop"))
    assert not says_something({"choices": []})
