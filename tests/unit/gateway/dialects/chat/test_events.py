"""Chunks of one stream: one id, role first and once, usage in its own chunk iff asked for."""

from datetime import UTC, datetime
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.chat.events import ChunkWriter
from gateway.dialects.sse import DONE
from gateway.exchange import Completion, Decision
from router.streaming import Assembly

texts = st.text(max_size=20)
roles = st.sampled_from([{}, {"role": "assistant"}, {"role": ""}, {"role": None}])
deltas = st.builds(lambda role, text: role | {"content": text}, roles, texts)
chunks = st.builds(
    lambda name, index, delta, usage: {"id": name, "created": 1, "choices": [{"index": index, "delta": delta}]} | usage,
    texts,
    st.integers(0, 2),
    deltas,
    st.sampled_from([{}, {"usage": None}, {"usage": {"prompt_tokens": 1}}]),
)


DECISION = Decision(
    id="dec_1", created=datetime.fromtimestamp(7, UTC), policy="p", strategy_id="s", cache="MISS", model="m"
)


def writer(*, include_usage: bool = False, announced: dict[str, Any] | None = None) -> ChunkWriter:
    one = ChunkWriter(include_usage=include_usage)
    assert one.begin(DECISION, announced) == b""
    return one


def ended(one: ChunkWriter, body: dict[str, Any], *, live: bool = False) -> list[bytes]:
    *events, nothing = one.end(Completion(decision=DECISION, body=body, usage=None, live=live)).split(b"\n\n")
    assert nothing == b""
    assert events[-1] + b"\n\n" == DONE
    return [block + b"\n\n" for block in events[:-1]]


def read(event: bytes) -> dict[str, Any]:
    assert event.startswith(b"data: ")
    assert event.endswith(b"\n\n")
    assert event.count(b"\n") == 2
    body: dict[str, Any] = orjson.loads(event.removeprefix(b"data: "))
    return body


@given(st.lists(chunks), st.booleans())
def test_whatever_the_upstream_does_the_stream_keeps_the_conventions(
    upstream: list[dict[str, Any]], include_usage: bool
) -> None:
    one = writer(include_usage=include_usage)
    begun: set[int] = set()
    for chunk in upstream:
        sent = read(one.live(chunk))
        assert (sent["id"], sent["created"], sent["model"]) == ("chatcmpl-1", 7, "m")
        assert sent.get("usage", "absent") == (None if include_usage else "absent")
        (choice,) = sent["choices"]
        assert ("role" in choice["delta"]) == (choice["index"] not in begun)
        begun.add(choice["index"])


def test_chunks_without_choices_are_not_passed_on() -> None:
    empty: list[dict[str, Any]] = [
        {},
        {"choices": []},
        {"choices": None},
        {"choices": [], "usage": {"prompt_tokens": 1}},
    ]
    for body in empty:
        assert writer().live(body) == b""


def test_a_whole_answer_as_chunks_says_the_same() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [{"role": "assistant", "content": "hi"}, {"role": "assistant", "content": None, "tool_calls": [call]}]
    choices = [
        {"index": n, "message": message, "finish_reason": reason, "logprobs": None}
        for n, (message, reason) in enumerate(zip(messages, ("stop", "tool_calls"), strict=True))
    ]
    assembly = Assembly()
    for event in ended(writer(), {"choices": choices, "usage": {"prompt_tokens": 3}}):
        assembly.add(read(event))
    again = assembly.body()["choices"]
    assert [choice["message"].get("content") for choice in again] == ["hi", None]
    assert again[1]["message"]["tool_calls"] == [call]
    assert [choice["finish_reason"] for choice in again] == ["stop", "tool_calls"]
    assert assembly.usage is None


def test_an_announcement_travels_in_one_chunk_only() -> None:
    one = writer(announced={"tier": 2})
    chunk = {"choices": [{"index": 0, "delta": {"content": "x"}}]}
    assert read(one.live(chunk))["spillway"] == {"tier": 2}
    assert "spillway" not in read(one.live(chunk))


def test_the_usage_chunk_has_no_choices() -> None:
    (event,) = ended(writer(include_usage=True), {"usage": {"prompt_tokens": 1}}, live=True)
    sent = read(event)
    assert (sent["choices"], sent["usage"], sent["id"]) == ([], {"prompt_tokens": 1, "cost": None}, "chatcmpl-1")
