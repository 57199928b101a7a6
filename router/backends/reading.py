"""Reading an upstream's chat.completion: is it an answer, what does it say, what did it count.

Knows OpenAI's wire format and its dialects' ways of telling usage. Knows no transport.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from router.backends.backend import Reply
from router.errors import BackendNonsense
from scorer.answer import Answer, Usage, UsageSource

_AS_A_BATCH = ("flex", "batch")  # OpenAI's words; flex is served at the rates of a batch
_PRIORITY = "priority"
_log = logging.getLogger(__name__)


def read_reply(
    model: str,
    body: Mapping[str, Any],
    *,
    latency_s: float,
    first_token_s: float | None = None,
    usage_source: UsageSource = "provider",
) -> Reply:
    """The reply in a chat.completion object, under our model name. Raises BackendNonsense where there is no answer.

    Usage that cannot be right is not passed on to the client either.
    """
    usage = read_usage(body.get("usage"), usage_source)
    if usage is not None:
        tier = body.get("service_tier")
        usage = replace(usage, batch=tier in _AS_A_BATCH, priority=tier == _PRIORITY)
    told = {**body, "object": "chat.completion", "model": model}
    if usage is None:
        told.pop("usage", None)
    return Reply(
        answer=read_answer(model, body),
        usage=usage,
        body=told,
        latency_s=latency_s,
        first_token_s=first_token_s,
    )


def read_answer(model: str, body: Mapping[str, Any]) -> Answer:
    """The first choice of a chat.completion. A refusal's text is the answer where there is no content."""
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices:
        raise BackendNonsense(model, "the answer has no choices", status=200)
    if not all(isinstance(choice, Mapping) and isinstance(choice.get("message"), Mapping) for choice in choices):
        raise BackendNonsense(model, "one of the answer's choices has no message", status=200)
    choice = choices[0]
    message = choice["message"]
    calls = message.get("tool_calls") or ()
    if not isinstance(calls, list | tuple) or not all(isinstance(call, Mapping) for call in calls):
        raise BackendNonsense(model, "the answer's tool_calls are not a list of objects", status=200)
    finish = choice.get("finish_reason")
    return Answer(
        model=model,
        text=_text(message.get("content")) or _text(message.get("refusal")),
        tool_calls=tuple(calls),
        finish_reason=finish if isinstance(finish, str) else None,
        token_logprobs=_logprobs(choice.get("logprobs")),
    )


def read_usage(usage: Any, source: UsageSource = "provider") -> Usage | None:
    """The counts of a usage object; None where it is missing or cannot be right, so that it is never billed as zero.

    It comes out as OpenAI counts: cached tokens within the prompt, also where they were told beside it. They stand in
    ``prompt_tokens_details.cached_tokens`` (OpenAI), ``prompt_cache_hit_tokens`` (DeepSeek) or
    ``cache_read_input_tokens`` (Anthropic's word). Some upstreams count reasoning beside the completion; where the
    total tells so, it is added.
    """
    if not isinstance(usage, Mapping):
        return None
    prompt, completion = (
        _whole(usage, "prompt_tokens", "input_tokens"),
        _whole(usage, "completion_tokens", "output_tokens"),
    )
    details, produced = _details(usage, "prompt_tokens_details"), _details(usage, "completion_tokens_details")
    cached = _first(
        details.get("cached_tokens"), usage.get("prompt_cache_hit_tokens"), usage.get("cache_read_input_tokens")
    )
    written = _first(
        details.get("cache_write_tokens"),
        details.get("cache_creation_tokens"),
        usage.get("cache_creation_input_tokens"),
    )
    reasoning = _first(produced.get("reasoning_tokens"), usage.get("reasoning_tokens"))
    if prompt is not None and completion is not None and usage.get("total_tokens") == prompt + completion + reasoning:
        completion += reasoning
    if prompt is not None and _stand_beside(usage, prompt, completion or 0, cached + written):
        prompt += cached + written
    heard, spoken = _first(details.get("audio_tokens")), _first(produced.get("audio_tokens"))
    if not prompt or completion is None or cached + written + heard > prompt or reasoning + spoken > completion:
        _log.warning("usage cannot be right, so it counts as unknown: %.300r", usage)
        return None
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        cached_prompt_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=reasoning,
        audio_prompt_tokens=heard,
        audio_completion_tokens=spoken,
        source=source,
    )


def _whole(usage: Mapping[str, Any], name: str, anthropic: str) -> int | None:
    return _count(usage.get(name) if name in usage else usage.get(anthropic))


def _stand_beside(usage: Mapping[str, Any], prompt: int, completion: int, cached: int) -> bool:
    """Whether cached tokens were counted beside the prompt, as Anthropic does, and not within it, as OpenAI does."""
    if not cached:
        return False
    if "input_tokens" in usage and "prompt_tokens" not in usage:
        return "input_tokens_details" not in usage  # which is OpenAI's word in its responses
    told = usage.get("total_tokens")
    anthropic = "cache_read_input_tokens" in usage or "cache_creation_input_tokens" in usage
    return anthropic and (cached > prompt or told == prompt + completion + cached)


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):  # parts
        return "".join(
            part["text"] for part in content if isinstance(part, Mapping) and isinstance(part.get("text"), str)
        )
    return ""


def _logprobs(logprobs: Any) -> tuple[float, ...] | None:
    tokens = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    if not isinstance(tokens, list) or not tokens:
        return None
    values = [token.get("logprob") if isinstance(token, Mapping) else None for token in tokens]
    if not all(isinstance(value, int | float) for value in values):
        return None
    return tuple(float(value) for value in values if value is not None)


def _details(usage: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    details = usage.get(key)
    return details if isinstance(details, Mapping) else {}


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9 else None


def _first(*values: Any) -> int:
    return next((count for value in values if (count := _count(value)) is not None), 0)
