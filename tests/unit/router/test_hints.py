"""Hints are told only whom they mean something to; a model's reasoning is handed back in the words of the one asked."""

from typing import Any

import pytest

from router.hints import CLAUDES, HINTS, Hint, without_hints

Json = dict[str, Any]
SIGNED = {"type": "thinking", "thinking": "six times ", "signature": "s"}
PLAIN = {"type": "thinking", "thinking": "seven", "signature": ""}
SEALED = {"type": "redacted_thinking", "data": "x"}


def spoken(*blocks: Json, **more: Any) -> Json:
    said = {"role": "assistant", "content": "42"} | ({"thinking_blocks": list(blocks)} if blocks else {})
    return {"messages": [{"role": "user", "content": "u"}, said | more]}


@pytest.mark.parametrize(
    ("hints", "asked", "told", "dropped"),
    [
        (CLAUDES, spoken(SIGNED, PLAIN, SEALED), spoken(SIGNED, SEALED), ()),
        (CLAUDES, spoken(PLAIN), spoken(), ()),
        ({"reasoning_content"}, spoken(SIGNED, PLAIN, SEALED), spoken(reasoning_content="six times seven"), ()),
        ({"reasoning_content"}, spoken(PLAIN, reasoning_content="own"), spoken(reasoning_content="own"), ()),
        ({"reasoning_content"}, spoken(SEALED), spoken(), ()),
        (frozenset(), spoken(SIGNED), spoken(), ("thinking_blocks",)),
        (frozenset(), spoken(reasoning_content="own"), spoken(reasoning_content="own"), ()),
        (frozenset(), {"thinking": {"type": "enabled"}, "messages": []}, {"messages": []}, ("thinking",)),
    ],
)
def test_reasoning_that_is_handed_back(
    hints: frozenset[Hint], asked: Json, told: Json, dropped: tuple[str, ...]
) -> None:
    assert without_hints(asked, frozenset(hints)) == (told, dropped)


def test_a_body_without_hints_is_passed_on_as_it_is() -> None:
    body = spoken()
    for hints in (HINTS, CLAUDES, frozenset[Hint]()):
        assert without_hints(body, hints)[0] is body


def test_hints_stand_in_parts_and_tools_too() -> None:
    cached = {"cache_control": {"type": "ephemeral"}}
    part, tool = {"type": "text", "text": "t"}, {"type": "function", "function": {"name": "f"}}
    body = {"messages": [{"role": "user", "content": [part | cached]}], "tools": [tool | cached]}
    kept = {"messages": [{"role": "user", "content": [part]}], "tools": [tool]}
    assert without_hints(body, frozenset()) == (kept, ("cache_control",))
    assert without_hints(body, CLAUDES) == (body, ())
