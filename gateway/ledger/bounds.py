"""What one call can cost at most, seen from the request body alone, before any token is counted.

Knows OpenAI's wire format. Knows no price and no model.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

_OVERHEAD_TOKENS = 512  # what chat templates add around a conversation: roles, dates, tool preambles
_OVERHEAD_TOKENS_PER_PART = 64  # and around each message and each tool


@dataclass(frozen=True, slots=True, kw_only=True)
class CallBound:
    """Upper bounds of one call's counts. None: there is no bound that holds for certain.

    prompt_tokens : no tokenizer in use makes more tokens than UTF-8 bytes; a picture or a sound has no such bound.
    output_tokens : per choice, as the request says.
    text_bytes : length of everything that becomes prompt.   priority : it asks to be served ahead of others.
    """

    prompt_tokens: int | None
    output_tokens: int | None
    choices: int
    text_bytes: int
    priority: bool = False

    def output_limit(self, model_limit: int | None) -> int | None:
        """The smaller one of what the request and what the model allow, per choice."""
        limits = [limit for limit in (self.output_tokens, model_limit) if limit is not None]
        return min(limits, default=None)


def call_bound(body: Mapping[str, Any]) -> CallBound:
    """The bounds of a call with this body, whatever is in it. An embedding has an ``input`` and makes no tokens."""
    if "messages" not in body and "input" in body:
        size = _length(body["input"])  # token ids are longer than the tokens that they stand for
        known = size + _OVERHEAD_TOKENS if size else None
        return CallBound(prompt_tokens=known, output_tokens=0, choices=1, text_bytes=size)
    messages, tools = _list(body.get("messages")), _list(body.get("tools"))
    prompt = [messages, tools, body.get("response_format"), body.get("functions"), body.get("prompt")]
    text_bytes = _length(prompt)
    overhead = _OVERHEAD_TOKENS + _OVERHEAD_TOKENS_PER_PART * (len(messages) + len(tools))
    outputs = [limit for name in ("max_completion_tokens", "max_tokens") if (limit := _count(body.get(name)))]
    return CallBound(
        prompt_tokens=text_bytes + overhead if text_bytes and all(map(_is_text, messages)) else None,
        output_tokens=max(outputs, default=None),
        choices=max(_count(body.get("n")) or 1, _count(body.get("best_of")) or 1),
        text_bytes=text_bytes,
        priority=body.get("service_tier") == "priority",
    )


def _length(value: object) -> int:
    try:
        return len(orjson.dumps(value, default=str))
    except orjson.JSONEncodeError:  # e.g. half a surrogate pair: no upstream takes it, and no bound holds for it
        return 0


def _is_text(message: object) -> bool:
    if not isinstance(message, Mapping):
        return False
    content = message.get("content")
    if content is None or isinstance(content, str):
        return True
    return isinstance(content, list) and all(
        isinstance(part, Mapping) and part.get("type") in ("text", "refusal") for part in content
    )


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
