"""Hints in a chat request: fields that ask for a way of serving, which a model may ignore without answering otherwise.

Knows where they stand. A backend whose upstream has no word for one must not send it, since strict servers refuse what
they do not know; the client is told which ones were left out.
"""

from collections.abc import Mapping
from typing import Any, Literal

Hint = Literal["prompt_caching", "thinking"]
HINTS: frozenset[Hint] = frozenset({"prompt_caching", "thinking"})

_FIELDS: Mapping[Hint, frozenset[str]] = {
    "prompt_caching": frozenset({"cache_control"}),
    "thinking": frozenset({"thinking", "thinking_blocks"}),
}
Json = dict[str, Any]


def without_hints(body: Mapping[str, Any], expressible: frozenset[Hint]) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """The body without the hints that are not expressible, and the names of the fields that were left out.

    The body itself where nothing had to be left out.
    """
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
