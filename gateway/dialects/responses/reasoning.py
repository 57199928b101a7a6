"""Reasoning in OpenAI's Responses API: told as an item, and understood when it is handed back.

Nothing is stored here, so what a model must be shown again of its own reasoning travels with the client, in
``encrypted_content``: a model's signature, or what it keeps secret. Knows both shapes.
"""

from collections.abc import Mapping
from typing import Any

from gateway.dialects.segments import Segment

Json = dict[str, Any]
# What other servers seal nobody here can open: only what is marked so came from this gateway.
_SIGNED, _REDACTED = "spillway.signature:", "spillway.redacted:"


def reasoning_item(segment: Segment) -> Json:
    """The fields of a ``reasoning`` item besides its id and status. segment : of kind reasoning or redacted."""
    if segment.kind == "redacted":
        return {"type": "reasoning", "summary": [], "encrypted_content": _REDACTED + segment.text}
    said: Json = {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": segment.text}]}
    return said | {"encrypted_content": _SIGNED + segment.signature}


def thought_of(item: Mapping[str, Any]) -> Json | None:
    """The block of ``thinking_blocks`` that an item was made of; None for what is not from here."""
    sealed = item.get("encrypted_content")
    if not isinstance(sealed, str):
        return None
    if sealed.startswith(_REDACTED):
        return {"type": "redacted_thinking", "data": sealed.removeprefix(_REDACTED)}
    if not sealed.startswith(_SIGNED):
        return None
    content = item.get("content")
    parts = content if isinstance(content, list) else []
    texts = [part.get("text") for part in parts if isinstance(part, Mapping)]
    text = "".join(said for said in texts if isinstance(said, str))
    return {"type": "thinking", "thinking": text, "signature": sealed.removeprefix(_SIGNED)}
