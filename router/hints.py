"""Hints in a chat request: fields that ask for a way of serving, which a model may ignore without answering otherwise.

Knows where they stand. A backend whose upstream has no word for one must not send it, since strict servers refuse what
they do not know; the client is told which ones were left out.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal

Hint = Literal["prompt_caching", "thinking", "reasoning_content"]
HINTS: frozenset[Hint] = frozenset({"prompt_caching", "thinking", "reasoning_content"})
CLAUDES: frozenset[Hint] = HINTS - {"reasoning_content"}
"""Those that Claude understands."""

_FIELDS: Mapping[Hint, frozenset[str]] = {
    "prompt_caching": frozenset({"cache_control"}),
    "thinking": frozenset({"thinking", "thinking_blocks"}),
    "reasoning_content": frozenset(),  # clients of such a model may send it themselves, so it is never taken out
}
Json = dict[str, Any]


def without_hints(body: Mapping[str, Any], expressible: frozenset[Hint]) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """The body without the hints that are not expressible, and the names of the fields that were left out.

    Reasoning that is handed back (``thinking_blocks``) may come from another model than the one that is asked now: one
    that checks signatures is told what is signed, one that takes ``reasoning_content`` is told the words in it. The
    body itself where nothing had to be changed.
    """
    if "thinking" in expressible:
        body = _reworded(body, _signed)
    elif "reasoning_content" in expressible:
        body = _reworded(body, _worded)
    names = frozenset[str]().union(*(_FIELDS[hint] for hint in HINTS - expressible))
    if not names:
        return body, ()
    found: set[str] = set()
    kept = _without(body, names, found)
    for name in ("messages", "tools"):
        items = body.get(name)
        if isinstance(items, list):
            kept[name] = [_item(item, names, found) for item in items]
    return (kept, tuple(sorted(found))) if found else (body, ())


def _reworded(body: Mapping[str, Any], reword: Callable[[Json], Json]) -> Mapping[str, Any]:
    messages = body.get("messages")
    if not isinstance(messages, list) or not any(map(_blocks, messages)):
        return body
    return {**body, "messages": [reword(message) if _blocks(message) else message for message in messages]}


def _blocks(message: Any) -> list[Mapping[str, Any]]:
    blocks = message.get("thinking_blocks") if isinstance(message, Mapping) else None
    return [block for block in blocks if isinstance(block, Mapping)] if isinstance(blocks, list) else []


def _signed(message: Json) -> Json:
    signed = [block for block in _blocks(message) if block.get("signature") or block.get("data")]
    kept = _without(message, frozenset({"thinking_blocks"}), set())
    return kept | {"thinking_blocks": signed} if signed else kept


def _worded(message: Json) -> Json:
    texts = [block.get("thinking") for block in _blocks(message)]
    words = "".join(text for text in texts if isinstance(text, str))
    kept = _without(message, frozenset({"thinking_blocks"}), set())
    return {"reasoning_content": words, **kept} if words else kept


def _item(item: Any, names: frozenset[str], found: set[str]) -> Any:
    if not isinstance(item, Mapping):
        return item
    kept = _without(item, names, found)
    for inner in ("content", "tool_calls"):
        parts = kept.get(inner)
        if isinstance(parts, list):
            kept[inner] = [_without(part, names, found) if isinstance(part, Mapping) else part for part in parts]
    return kept


def _without(value: Mapping[str, Any], names: frozenset[str], found: set[str]) -> Json:
    found.update(names & value.keys())
    return {name: item for name, item in value.items() if name not in names}
