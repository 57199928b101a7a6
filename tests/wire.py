"""Answers as OpenAI's server writes them, whole and in chunks, for tests that play a server."""

import json
from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]
USAGE = (10, 2)


def completion(
    text: str | None,
    *,
    usage: tuple[int, int] | None = USAGE,
    tool_calls: Sequence[Json] = (),
    logprobs: Sequence[float] | None = None,
    reasoning: str | None = None,
) -> Json:
    """A chat.completion as OpenAI's server writes it."""
    message: Json = {"role": "assistant", "content": text, "refusal": None}
    if reasoning is not None:
        message["reasoning_content"] = reasoning
    if tool_calls:
        message["tool_calls"] = list(tool_calls)
    choice = {
        "index": 0,
        "message": message,
        "logprobs": _logprobs(logprobs),
        "finish_reason": "tool_calls" if tool_calls else "stop",
    }
    body: Json = {"id": "up-1", "object": "chat.completion", "created": 7, "model": "upstream", "choices": [choice]}
    return body | ({"usage": usage_of(usage)} if usage is not None else {})


def chunks_of(
    text: str | None,
    usage: tuple[int, int] | None = None,
    tool_calls: Sequence[Json] = (),
    logprobs: Sequence[float] | None = None,
    reasoning: str | None = None,
) -> list[Json]:
    """The same answer as chunks: the role, the text in two pieces, each call in three, the end, the usage if asked."""
    chunks = [chunk_of({"role": "assistant", "content": "" if text is not None else None, "refusal": None})]
    chunks += [chunk_of({"reasoning_content": piece}) for piece in _halves(reasoning or "")]
    chunks += [chunk_of({"content": piece}) for piece in _halves(text or "") if piece]
    if logprobs is not None:
        chunks[-1]["choices"][0]["logprobs"] = _logprobs(logprobs)
    for index, call in enumerate(tool_calls):
        function = call["function"]
        arguments = function["arguments"]
        opening = {**call, "function": {**function, "arguments": ""}}
        chunks.append(chunk_of({"tool_calls": [{"index": index, **opening}]}))
        chunks += [
            chunk_of({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
            for piece in _halves(arguments)
        ]
    chunks.append(chunk_of({}, finish_reason="tool_calls" if tool_calls else "stop"))
    if usage is not None:
        chunks.append({**chunk_of({}), "choices": [], "usage": usage_of(usage)})
    return chunks


def chunk_of(delta: Json, *, finish_reason: str | None = None) -> Json:
    """One chat.completion.chunk."""
    return {
        "id": "up-1",
        "object": "chat.completion.chunk",
        "created": 7,
        "model": "upstream",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}],
    }


def usage_of(counts: tuple[int, int]) -> Json:
    """OpenAI's usage object."""
    prompt, produced = counts
    return {"prompt_tokens": prompt, "completion_tokens": produced, "total_tokens": prompt + produced}


def event(data: Json) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n"


def embeddings(inputs: int, *, usage: int | None = 8, dimensions: int = 3) -> Json:
    """A list of vectors as OpenAI's server writes it, as floats: the n-th begins with n."""
    data = [
        {"object": "embedding", "index": n, "embedding": [float(n), *([0.5] * (dimensions - 1))]} for n in range(inputs)
    ]
    body: Json = {"object": "list", "model": "upstream", "data": data}
    return body | ({} if usage is None else {"usage": {"prompt_tokens": usage, "total_tokens": usage}})


def _logprobs(logprobs: Sequence[float] | None) -> Json | None:
    if logprobs is None:
        return None
    return {"content": [{"token": "t", "logprob": value, "bytes": None, "top_logprobs": []} for value in logprobs]}


def _halves(text: str) -> list[str]:
    half = (len(text) + 1) // 2
    return [piece for piece in (text[:half], text[half:]) if piece]
