"""OpenAI's legacy completions: from an answer to a text_completion object."""

from collections.abc import Mapping
from typing import Any

from gateway.dialects.chat.answer import render_usage
from gateway.exchange import Completion, Decision

Json = dict[str, Any]


def render(completion: Completion, echo: str) -> Json:
    """The text_completion object. echo : the prompt, where it is to stand before the answer."""
    choices = [choice for choice in completion.body.get("choices") or () if isinstance(choice, Mapping)]
    return {
        **frame(completion.decision),
        "choices": [_choice(choice, echo, place) for place, choice in enumerate(choices)],
        "usage": render_usage(completion),
    }


def frame(decision: Decision) -> Json:
    """What every object of a completion has."""
    return {
        "id": "cmpl-" + decision.id.removeprefix("dec_"),
        "object": "text_completion",
        "created": int(decision.created.timestamp()),
        "model": decision.model,
    }


def text_choice(index: int, text: str, finish_reason: Any, logprobs: Any) -> Json:
    """One choice, whole or a piece of it. ``tool_calls`` and other ends that a text cannot have become ``stop``."""
    told = finish_reason if finish_reason in (None, "length", "content_filter") else "stop"
    return {"index": index, "text": text, "finish_reason": told, "logprobs": _logprobs(logprobs)}


def text_of(said: Mapping[str, Any]) -> str:
    """The text of a message or a delta; a refusal is one too."""
    for name in ("content", "refusal"):
        if isinstance(said.get(name), str) and said[name]:
            return str(said[name])
    return ""


def _choice(choice: Mapping[str, Any], echo: str, place: int) -> Json:
    message = choice.get("message")
    text = echo + text_of(message if isinstance(message, Mapping) else {})
    index = choice.get("index", place)
    return text_choice(index, text, choice.get("finish_reason") or "stop", choice.get("logprobs"))


def _logprobs(logprobs: Any) -> Json | None:
    """Chat's list of tokens as legacy's lists side by side."""
    content = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    tokens = [token for token in content if isinstance(token, Mapping)] if isinstance(content, list) else []
    if not tokens:
        return None
    offsets, offset = [], 0
    for token in tokens:
        offsets.append(offset)
        offset += len(str(token.get("token", "")))
    return {
        "tokens": [token.get("token") for token in tokens],
        "token_logprobs": [token.get("logprob") for token in tokens],
        "top_logprobs": [_top(token.get("top_logprobs")) for token in tokens],
        "text_offset": offsets,
    }


def _top(others: Any) -> Json:
    named = [other for other in others if isinstance(other, Mapping)] if isinstance(others, list) else []
    return {str(other.get("token")): other.get("logprob") for other in named}
