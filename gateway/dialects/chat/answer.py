"""OpenAI's chat completion format: from an answer to a body. Knows names; every other field is the model's own."""

from collections.abc import Mapping
from typing import Any

from gateway.exchange import Completion


def render(completion: Completion) -> dict[str, Any]:
    """The chat.completion object for the client: one of ours by id, the model's by everything else."""
    return dict(completion.body) | {
        "id": completion.decision.chat_id,
        "object": "chat.completion",
        "created": int(completion.decision.created.timestamp()),
        "model": completion.decision.model,
        "usage": render_usage(completion),
    }


def render_usage(completion: Completion) -> dict[str, Any] | None:
    """The upstream's own usage object, with what the request cost in USD; ``cost`` is null where it is not known."""
    usage = completion.body.get("usage")
    if not isinstance(usage, Mapping):
        if completion.usage is None:
            return None
        prompt, answer = completion.usage.prompt_tokens, completion.usage.completion_tokens
        usage = {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}
    return dict(usage) | {"cost": cost_usd(completion)}


def cost_usd(completion: Completion) -> float | None:
    """What all attempts of the request cost, null where it is not known."""
    spent = completion.decision.spent
    return None if spent is None or spent.nanousd is None else spent.nanousd / 1e9
