"""Anthropic's Messages API: from an answer to a message object.

Knows content blocks, stop reasons and how Anthropic counts: cached tokens beside the others, not among them.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.dialects.chat.answer import cost_usd
from gateway.dialects.segments import Segment, segments_of
from gateway.exchange import Completion, Decision
from scorer.answer import Usage

Json = dict[str, Any]
_STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}


def render(completion: Completion, stop_sequences: Sequence[str]) -> Json:
    """The message object."""
    segments = segments_of(completion.body)
    choice = first_choice(completion.body)
    return {
        **frame(completion.decision),
        "content": [block_of(segment) for segment in segments],
        **stopped(choice, stop_sequences, refused=any(segment.kind == "refusal" for segment in segments)),
        "usage": usage_of(completion.usage) | {"cost": cost_usd(completion)},
    }


def frame(decision: Decision) -> Json:
    """What every message has, before anything is said."""
    return {
        "id": "msg_" + decision.id.removeprefix("dec_"),
        "type": "message",
        "role": "assistant",
        "model": decision.model,
    }


def first_choice(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The first choice of a chat.completion, empty where there is none."""
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else {}
    return choice if isinstance(choice, Mapping) else {}


def block_of(segment: Segment) -> Json:
    """A whole content block."""
    match segment.kind:
        case "reasoning":
            return {"type": "thinking", "thinking": segment.text, "signature": segment.signature}
        case "redacted":
            return {"type": "redacted_thinking", "data": segment.text}
        case "tool" | "custom_tool":
            return {"type": "tool_use", "id": segment.id, "name": segment.name, "input": input_of(segment)}
        case _:
            return {"type": "text", "text": segment.text}


def input_of(segment: Segment) -> Json:
    """A call's arguments as the object that they spell; what spells none is passed on as the text that it is."""
    try:
        value = json.loads(segment.text) if segment.text.strip() else {}
    except (ValueError, RecursionError):
        value = None
    return value if isinstance(value, dict) else {"unparsed_arguments": segment.text}


def stopped(choice: Mapping[str, Any], stop_sequences: Sequence[str], *, refused: bool) -> Json:
    """Why the answer ended. Some servers tell which stop sequence they met, in ``stop_reason``."""
    met = choice.get("stop_reason")
    if isinstance(met, str) and met in stop_sequences:
        return {"stop_reason": "stop_sequence", "stop_sequence": met}
    reason = choice.get("finish_reason")
    told = _STOP_REASONS.get(reason, "end_turn") if isinstance(reason, str) else "end_turn"
    return {"stop_reason": "refusal" if refused else told, "stop_sequence": None}


def usage_of(usage: Usage | None) -> Json:
    """Anthropic's counts; zeros where nothing is known, since its clients insist on numbers."""
    if usage is None:
        usage = Usage(prompt_tokens=0, completion_tokens=0)
    beside = usage.cached_prompt_tokens + usage.cache_write_tokens
    return {
        "input_tokens": max(0, usage.prompt_tokens - beside),
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cached_prompt_tokens,
        "output_tokens": usage.completion_tokens,
    }
