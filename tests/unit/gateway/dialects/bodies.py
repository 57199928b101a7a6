"""Requests and answers for tests of the dialects: whatever JSON, and JSON that is nearly right."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from gateway.exchange import Completion, Decision
from gateway.ledger.entry import Spent
from scorer.answer import Usage

Json = dict[str, Any]
DECISION = Decision(
    id="dec_1",
    created=datetime(2026, 1, 1, tzinfo=UTC),
    policy="p",
    strategy_id="s",
    cache="MISS",
    model="m",
    spent=Spent(nanousd=1_500),
)
names = st.sampled_from(
    [
        *("type", "text", "role", "content", "id", "name", "input", "source", "data", "media_type", "url", "tools"),
        *("tool_use_id", "call_id", "arguments", "output", "format", "schema", "effort", "function", "index", "delta"),
        *("cache_control", "thinking", "signature", "image_url", "file_data", "tool_calls", "refusal", "custom"),
    ]
)
words = st.sampled_from(
    [
        *("text", "user", "assistant", "system", "tool", "image", "document", "base64", "tool_use", "tool_result"),
        *("function", "function_call", "function_call_output", "custom", "custom_tool_call", "reasoning", "message"),
        *("input_text", "output_text", "input_image", "input_file", "refusal", "thinking", "redacted_thinking", "auto"),
        *("json_schema", "json_object", "allowed_tools", "search_result", "stop", "length", "tool_calls", "", "{}"),
    ]
)
scalars = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | words
)
json_values = st.recursive(
    scalars | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names | st.text(max_size=4), inner, max_size=5),
    max_leaves=25,
)


def nearly(valid: Mapping[str, Any]) -> st.SearchStrategy[Json]:
    """The valid body with up to three values, anywhere in it, exchanged for others or taken out."""
    places = list(_places(valid))
    changes = st.lists(st.tuples(st.sampled_from(places), json_values, st.booleans()), max_size=3)
    return changes.map(lambda made: _changed(valid, made))


def completion(body: Mapping[str, Any], *, live: bool = False) -> Completion:
    """The completion of a chat.completion object."""
    usage = Usage(prompt_tokens=10, completion_tokens=2, cached_prompt_tokens=3)
    return Completion(decision=DECISION, body=body, usage=usage, live=live)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Any:
    if path:
        yield path
    inner = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from _places(item, (*path, key))


def _changed(valid: Mapping[str, Any], changes: list[tuple[tuple[Any, ...], Any, bool]]) -> Json:
    import copy

    body: Any = copy.deepcopy(dict(valid))
    for (*path, last), value, takes_out in changes:
        try:
            parent = body
            for key in path:
                parent = parent[key]
            if isinstance(parent, dict) != isinstance(last, str):
                continue  # another kind of value stands there by now
            if takes_out:
                del parent[last]
            else:
                parent[last] = copy.deepcopy(value)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took the place away
    changed: Json = body
    return changed
