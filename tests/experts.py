"""A self-hosted engine's server, as far as its protocol goes: honest, or silently leaving out what it was asked for."""

import json
from collections.abc import Callable, Collection
from typing import Any

from tests.upstream import Behaviour, Exchange
from tests.wire import Json, chunk_of, event

WORDS = [f"word{n}" for n in range(16)]
METRICS = {
    "vllm": b'# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{model_name="m"} 1.0\n',
    "sglang": b'sglang:num_running_reqs{model_name="m"} 1.0\n',
    "llama.cpp": b"llamacpp:requests_processing 1\n",
    "renamed": b"vllm:requests_under_way 1.0\nvllm:requests_kept_waiting 0.0\n",
    "none": b"process_cpu_seconds_total 1.0\n",
}


def expert(
    *,
    drops: Collection[str] = (),
    refuses: Collection[str] = (),
    engine: str = "vllm",
    serves: str = "m",
    adapters: Collection[str] = (),
    owner: str = "somebody",
    context_tokens: int = 32_768,
    load: Callable[[], tuple[int, int]] = lambda: (1, 0),
) -> Behaviour:
    """drops : abilities that it silently does without.   refuses : those that it answers 400 to.

    serves : the model that it has, and owner whose it is.   adapters : of that model, by name.
    load : requests running and waiting, as vLLM tells them.
    """

    async def behave(exchange: Exchange) -> None:
        path = exchange.asked.path
        if path.endswith("/chat/completions") and exchange.asked.body["model"] not in (serves, *adapters):
            await _told(exchange, {"error": {"message": f"The model `{serves}` alone is served"}}, 404)
        elif path.endswith("/chat/completions"):
            await _chat(exchange, drops, refuses)
        elif path.endswith("/models") and "models" not in drops:
            model: Json = {"id": serves, "object": "model", "owned_by": owner}
            model |= {"max_model_len": context_tokens} if engine in ("vllm", "sglang") else {}
            beside = [{**model, "id": adapter, "parent": serves} for adapter in adapters]
            await _told(exchange, {"object": "list", "data": [model, *beside]})
        elif path.endswith("/metrics") and engine in METRICS and "metrics" not in drops:
            told = METRICS[engine]
            if engine == "vllm":
                running, waiting = load()
                told = b"vllm:num_requests_running %d\nvllm:num_requests_waiting %d\n" % (running, waiting)
            await exchange.whole(200, told, {"content-type": "text/plain"})
        elif path.endswith("/tokenize") and "tokenize" not in drops:
            await _told(exchange, {"tokens": [1, 2, 3], "count": 3})
        elif path.endswith("/props") and engine == "llama.cpp":
            await _told(exchange, {"default_generation_settings": {"n_ctx": context_tokens}})
        else:
            await _told(exchange, {"detail": "Not Found"}, 404)

    return behave


async def _told(exchange: Exchange, body: Json, code: int = 200) -> None:
    await exchange.whole(code, json.dumps(body).encode(), {"content-type": "application/json"})


async def _chat(exchange: Exchange, drops: Collection[str], refuses: Collection[str]) -> None:
    asked = exchange.asked.body
    wanted = {
        "n": asked.get("n", 1) > 1,
        "logprobs": bool(asked.get("logprobs")),
        "json_schema": "response_format" in asked,
        "tools": "tools" in asked,
        "stream": bool(asked.get("stream")),
    }
    refused = [name for name, wants in wanted.items() if wants and name in refuses]
    if refused:
        await _told(exchange, {"error": {"message": f"{refused[0]} is not supported"}}, 400)
        return
    does = {name: wants and name not in drops for name, wants in wanted.items()}
    limit = 16 if "output_limit" in drops else asked["max_tokens"]
    words = ['{"spillway_probe": 7}'] if does["json_schema"] else WORDS[:limit]
    usage = None if "usage" in drops else {"prompt_tokens": 9, "completion_tokens": len(words)}
    if does["stream"]:
        await _streamed(exchange, words, None if "stream_usage" in drops else usage)
        return
    count = 2 if does["n"] else 1
    choices = [_choice(n, words, does, "odd_logprobs" in drops) for n in range(count)]
    await _told(exchange, {"id": "x", "object": "chat.completion", "choices": choices, "usage": usage})


def _choice(n: int, words: list[str], does: dict[str, bool], odd: bool) -> Json:
    message: Json = {"role": "assistant", "content": " ".join(words)}
    choice: dict[str, Any] = {"index": n, "message": message, "finish_reason": "length"}
    if does["tools"]:
        call = {"name": "spillway_probe", "arguments": '{"spillway_probe": 7}'}
        message |= {"content": None, "tool_calls": [{"id": "c", "type": "function", "function": call}]}
    if does["logprobs"]:
        told = [{"token": word, "logprob": 0.0 if odd else -0.1 * (k + 1)} for k, word in enumerate(words)]
        choice["logprobs"] = {"content": told}
    return choice


async def _streamed(exchange: Exchange, words: list[str], usage: Json | None) -> None:
    await exchange.head(200, {"content-type": "text/event-stream"})
    for word in words:
        await exchange.send(event(chunk_of({"content": f"{word} "})))
    await exchange.send(event(chunk_of({}, finish_reason="length")))
    if usage is not None:
        await exchange.send(event({**chunk_of({}), "choices": [], "usage": usage}))
    await exchange.send(b"data: [DONE]\n\n")
    await exchange.end()
