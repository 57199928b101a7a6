"""OpenAI's Responses API: from an answer to a response object.

Knows output items, statuses, and which fields of the request a response says again.
"""

from collections.abc import Mapping
from typing import Any

from gateway.dialects.anthropic.answer import first_choice
from gateway.dialects.chat.answer import cost_usd
from gateway.dialects.responses.reasoning import reasoning_item
from gateway.dialects.segments import Segment, segments_of
from gateway.exchange import Completion, Decision
from scorer.answer import Usage

Json = dict[str, Any]
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


class Echo:
    """What a response says again of its request."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        reasoning, text = body.get("reasoning") or {}, body.get("text") or {}
        self.fields: Json = {
            "instructions": body.get("instructions"),
            "max_output_tokens": body.get("max_output_tokens"),
            "metadata": body.get("metadata") or {},
            "parallel_tool_calls": body.get("parallel_tool_calls") is not False,
            "previous_response_id": None,
            "reasoning": {"effort": reasoning.get("effort"), "summary": None},
            "store": False,
            "temperature": body.get("temperature"),
            "text": {**text, "format": text.get("format") or {"type": "text"}},
            "tool_choice": body.get("tool_choice") or "auto",
            "tools": body.get("tools") or [],
            "top_p": body.get("top_p"),
            "truncation": "disabled",
            "background": False,
            "user": body.get("user"),
        }


def render(completion: Completion, echo: Echo) -> Json:
    """The response object of a whole answer."""
    output = [item_of(completion.decision, n, segment) for n, segment in enumerate(segments_of(completion.body))]
    return finished(completion, echo, output)


def frame(decision: Decision, echo: Echo, status: str) -> Json:
    """A response object in which nothing is said."""
    return {
        "id": response_id(decision.id),
        "object": "response",
        "created_at": int(decision.created.timestamp()),
        "status": status,
        "error": None,
        "incomplete_details": None,
        "model": decision.model,
        "output": [],
        "usage": None,
        **echo.fields,
    }


def finished(completion: Completion, echo: Echo, output: list[Json]) -> Json:
    """The response object with its output and its end."""
    finish = first_choice(completion.body).get("finish_reason")
    reason = _INCOMPLETE.get(finish) if isinstance(finish, str) else None
    return {
        **frame(completion.decision, echo, "completed" if reason is None else "incomplete"),
        "incomplete_details": None if reason is None else {"reason": reason},
        "output": output,
        "usage": usage_of(completion.usage, cost_usd(completion)),
    }


def response_id(decision_id: str) -> str:
    """By which the decision can be found again."""
    return "resp_" + decision_id.removeprefix("dec_")


def item_of(decision: Decision, place: int, segment: Segment, status: str = "completed") -> Json:
    """An output item, in full. place : its index in the output."""
    name = f"{decision.id.removeprefix('dec_')}_{place}"
    match segment.kind:
        case "reasoning" | "redacted":
            return {"id": f"rs_{name}", "status": status, **reasoning_item(segment)}
        case "tool":
            call = {"call_id": segment.id, "name": segment.name, "arguments": segment.text}
            return {"id": f"fc_{name}", "type": "function_call", "status": status, **call}
        case "custom_tool":
            call = {"call_id": segment.id, "name": segment.name, "input": segment.text}
            return {"id": f"ctc_{name}", "type": "custom_tool_call", "status": status, **call}
        case _:
            part = part_of(segment)
            return {"id": f"msg_{name}", "type": "message", "status": status, "role": "assistant", "content": [part]}


def part_of(segment: Segment) -> Json:
    """A message's content part."""
    if segment.kind == "refusal":
        return {"type": "refusal", "refusal": segment.text}
    return {"type": "output_text", "text": segment.text, "annotations": [], "logprobs": list(segment.logprobs)}


def usage_of(usage: Usage | None, cost: float | None) -> Json | None:
    """The counts; None where nothing is known."""
    if usage is None:
        return None
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_prompt_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "cost": cost,
    }
