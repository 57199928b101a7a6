"""Chunks on their way: one name throughout, counts as they are told, the whole answer at the end."""

from typing import Any

import pytest

from router.backends.relay import Relay
from router.errors import BackendNonsense
from tests.wire import chunk_of, chunks_of, usage_of


def relay() -> Relay:
    return Relay("ours", 0.0)


def test_counts_are_passed_on_as_they_are_told() -> None:
    one = relay()
    seen = [one.pass_on({**chunk_of({"content": "x"}), "usage": usage}) for usage in (usage_of((10, 1)), None, {})]
    assert [chunk.usage.completion_tokens if chunk and chunk.usage else None for chunk in seen] == [1, 1, 1]
    assert all(chunk is not None and chunk.body is not None and "usage" not in chunk.body for chunk in seen)


def test_the_name_and_the_id_stay_whatever_the_upstream_calls_itself() -> None:
    one = relay()
    ids: list[dict[str, Any]] = [{"id": ""}, {"id": "a"}, {"id": "b", "created": None}]
    bodies = [chunk.body for fields in ids if (chunk := one.pass_on({**chunk_of({"content": "x"}), **fields}))]
    last = one.end()
    assert last.reply is not None
    told = {(body["id"], body["created"], body["model"]) for body in (*bodies, last.reply.body) if body is not None}
    assert len(told) == 1
    (id_, created, model) = told.pop()
    assert id_.startswith("chatcmpl")
    assert (created, model) == (7, "ours")


def test_a_chunk_without_choices_is_not_for_the_client() -> None:
    one = relay()
    assert one.pass_on({"choices": [], "prompt_filter_results": []}) is None
    assert not one.began


def test_the_first_token_is_the_first_word() -> None:
    one = relay()
    role, *rest = chunks_of("hi")
    one.pass_on(role)
    after_the_role = one.began
    for chunk in rest:
        one.pass_on(chunk)
    assert (after_the_role, one.began) == (False, True)
    last = one.end()
    assert last.body is None  # no usage was told
    assert last.reply is not None
    assert last.reply.first_token_s is not None
    assert 0 < last.reply.first_token_s <= last.reply.latency_s


def test_what_is_no_chunk_and_what_says_nothing_are_named() -> None:
    with pytest.raises(BackendNonsense, match="not a list"):
        relay().pass_on({"choices": "x"})
    with pytest.raises(BackendNonsense, match="no choices"):
        relay().end()
