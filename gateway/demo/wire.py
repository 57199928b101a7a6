"""What the simulated models said, in OpenAI's wire format: whole, or as the chunks of a stream.

Knows the response's side of the format. Knows neither where answers come from nor how they travel.
"""

import math
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

from gateway.demo.request import ChatRequest
from gateway.demo.simulated import Said
from gateway.demo.tokens import Token, prompt_tokens

_ALTERNATIVES = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9", " the", " so", " a", " and", " is", ",", ".", "\n",
                 " it", " of", "-")  # fmt: skip


def completion(request: ChatRequest, identity: str, created: int, said: Sequence[Said]) -> dict[str, Any]:
    """The ``chat.completion`` object with one choice for each of ``said``."""
    choices = [
        {
            "index": index,
            "message": {"role": "assistant", "content": one.text, "refusal": None},
            "logprobs": logprobs(one.tokens, request.top_logprobs),
            "finish_reason": one.finish_reason,
        }
        for index, one in enumerate(said)
    ]
    return {**_frame(request, identity, created, "chat.completion"), "choices": choices, "usage": usage(request, said)}


def chunks(request: ChatRequest, identity: str, created: int, said: Sequence[Said]) -> Iterator[dict[str, Any]]:
    """The ``chat.completion.chunk`` objects of a stream in order, one token each, with the usage last if asked for."""
    frame = _frame(request, identity, created, "chat.completion.chunk")
    if request.include_usage:
        frame["usage"] = None
    for index, one in enumerate(said):
        yield {**frame, "choices": [_delta(index, {"role": "assistant", "content": ""})]}
        for token in one.tokens:
            told = logprobs((token,), request.top_logprobs)
            yield {**frame, "choices": [_delta(index, {"content": token.text}, told=told)]}
        yield {**frame, "choices": [_delta(index, {}, finish_reason=one.finish_reason)]}
    if request.include_usage:
        yield {**frame, "choices": [], "usage": usage(request, said)}


def usage(request: ChatRequest, said: Sequence[Said]) -> dict[str, int]:
    """What the request counts."""
    prompt, reply = prompt_tokens(request.messages), sum(len(one.tokens) for one in said)
    return {"prompt_tokens": prompt, "completion_tokens": reply, "total_tokens": prompt + reply}


def logprobs(tokens: Sequence[Token], top: int | None) -> dict[str, Any] | None:
    """The ``logprobs`` of a choice; None where none were asked for."""
    if top is None:
        return None
    content = [
        {**_entry(token.text, token.logprob), "top_logprobs": _alternatives(token, top) if top else []}
        for token in tokens
    ]
    return {"content": content, "refusal": None}


def _alternatives(token: Token, top: int) -> list[dict[str, Any]]:
    others = [text for text in Random(token.text).sample(_ALTERNATIVES, top) if text != token.text][: top - 1]
    left = math.log(max(1e-9, -math.expm1(token.logprob)))  # what probability the chosen token leaves to others
    ladder = [
        _entry(text, min(left + math.log(0.6 * 0.4**rank), token.logprob - 0.1 * (rank + 1)))
        for rank, text in enumerate(others)
    ]
    return [_entry(token.text, token.logprob), *ladder]


def _entry(text: str, logprob: float) -> dict[str, Any]:
    return {"token": text, "logprob": round(logprob, 6), "bytes": list(text.encode())}


def _frame(request: ChatRequest, identity: str, created: int, kind: str) -> dict[str, Any]:
    return {
        "id": identity,
        "object": kind,
        "created": created,
        "model": request.model,
        "system_fingerprint": "fp_simulated",
    }


def _delta(
    index: int, delta: dict[str, str], *, told: dict[str, Any] | None = None, finish_reason: str | None = None
) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": told, "finish_reason": finish_reason}
