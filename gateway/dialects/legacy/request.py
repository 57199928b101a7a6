"""OpenAI's legacy completions: a prompt as the one message of a chat.

Knows its fields. What a chat model cannot do is refused by name; unknown fields pass through to the model.
"""

from collections.abc import Mapping
from typing import Any

from gateway.dialects.chat.request import chat_request
from gateway.dialects.dialect import Asked, Dialect
from gateway.dialects.fields import (
    BOOLEAN,
    INTEGER,
    NUMBER,
    OBJECT,
    POSITIVE,
    STRING,
    STRINGS,
    Kind,
    between,
    check,
    model_of,
    read_object,
    unsupported,
    wrong,
)
from gateway.dialects.legacy.answer import render
from gateway.dialects.legacy.events import TextWriter

PATH = "/v1/completions"
Json = dict[str, Any]

FIELDS: Mapping[str, Kind] = {
    "max_tokens": POSITIVE,
    "temperature": NUMBER,
    "top_p": NUMBER,
    "n": between(1, 128),
    "best_of": between(1, 128),
    "logprobs": between(0, 20),
    "echo": BOOLEAN,
    "stream": BOOLEAN,
    "stream_options": OBJECT,
    "stop": STRINGS,
    "suffix": STRING,
    "seed": INTEGER,
    "presence_penalty": NUMBER,
    "frequency_penalty": NUMBER,
    "logit_bias": OBJECT,
    "user": STRING,
}
_CONVERTED = frozenset({"model", "prompt", "stream", "stream_options", "logprobs", "echo", "best_of", "suffix"})


def parse(raw: bytes, decision_id: str) -> Asked:
    """A legacy completion request. Raises InvalidRequest naming the field at fault."""
    body = read_object(raw, "model and prompt")
    model = model_of(body)
    chat = to_chat(body)
    stream = body.get("stream") is True
    options = body.get("stream_options") or {}
    if options and not stream:
        raise wrong("stream_options", "is only allowed when stream is true")
    include_usage = options.get("include_usage") is True
    request = chat_request(chat, decision_id=decision_id, model=model, endpoint=PATH, stream=stream)
    echo = prompt_of(body) if body.get("echo") else ""
    return Asked(
        request=request,
        render=lambda done: render(done, echo),
        writer=lambda: TextWriter(echo, include_usage=include_usage),
    )


LEGACY = Dialect(path=PATH, parse=parse)


def to_chat(body: Mapping[str, Any]) -> Json:
    """The chat-completions body. Raises InvalidRequest."""
    check(body, FIELDS)
    if body.get("suffix"):
        raise unsupported("suffix", "is not supported here: chat models do not fill in the middle")
    if body.get("best_of") not in (None, body.get("n") or 1):
        raise unsupported("best_of", "must be n: nothing here ranks choices that are then thrown away")
    chat: Json = {name: value for name, value in body.items() if name not in _CONVERTED and value is not None}
    chat["messages"] = [{"role": "user", "content": prompt_of(body)}]
    if body.get("logprobs") is not None:
        chat |= {"logprobs": True, "top_logprobs": body["logprobs"]}
    return chat


def prompt_of(body: Mapping[str, Any]) -> str:
    """The one prompt. Raises InvalidRequest."""
    prompt = body.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if isinstance(prompt, list):
        raise unsupported("prompt", "must be one text: several prompts need a request each, and token ids a tokenizer")
    if not isinstance(prompt, str):
        raise wrong("prompt", "is required: a string")
    return prompt
