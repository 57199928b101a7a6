"""OpenAI's chat completion format: from a body to a request.

Knows field names and types, and names the one that is wrong. Fields that it does not know pass through untouched.
Ranges are left to the models, which differ in them.
"""

from collections.abc import Mapping
from typing import Any

from gateway.dialects.chat.answer import render
from gateway.dialects.chat.events import ChunkWriter
from gateway.dialects.dialect import Asked, Dialect
from gateway.dialects.fields import (
    BOOLEAN,
    INTEGER,
    NUMBER,
    OBJECT,
    POSITIVE,
    STRING,
    STRINGS,
    TYPED,
    TYPED_LIST,
    WORD_OR_OBJECT,
    Kind,
    between,
    check,
    is_objects,
    is_typed,
    model_of,
    read_object,
    wrong,
)
from gateway.exchange import ChatRequest
from scorer.answer import Query

PATH = "/v1/chat/completions"
ROLES = ("system", "developer", "user", "assistant", "tool", "function")
OWN = frozenset({"model", "stream", "stream_options"})
"""Fields that are between the client and the gateway, and no model's."""

FIELDS: Mapping[str, Kind] = {
    "n": between(1, 128),
    "temperature": NUMBER,
    "top_p": NUMBER,
    "presence_penalty": NUMBER,
    "frequency_penalty": NUMBER,
    "max_tokens": POSITIVE,
    "max_completion_tokens": POSITIVE,
    "seed": INTEGER,
    "logprobs": BOOLEAN,
    "top_logprobs": INTEGER,
    "stop": STRINGS,
    "stream": BOOLEAN,
    "stream_options": OBJECT,
    "tools": TYPED_LIST,
    "tool_choice": WORD_OR_OBJECT,
    "parallel_tool_calls": BOOLEAN,
    "response_format": TYPED,
    "reasoning_effort": STRING,
    "logit_bias": OBJECT,
    "metadata": OBJECT,
    "user": STRING,
}


def parse(raw: bytes, decision_id: str) -> Asked:
    """A chat completion request. Raises InvalidRequest naming the parameter at fault."""
    body = read_object(raw, "model and messages")
    model = model_of(body)
    _check_messages(body.get("messages"))
    check(body, FIELDS)
    stream = body.get("stream") is True
    options = body.get("stream_options") or {}
    if options and not stream:
        raise wrong("stream_options", "is only allowed when stream is true")
    if not isinstance(options.get("include_usage"), bool | None):
        raise wrong("stream_options.include_usage", "must be true or false")
    include_usage = options.get("include_usage") is True
    asked = chat_request(
        {name: value for name, value in body.items() if name not in OWN},
        decision_id=decision_id,
        model=model,
        endpoint=PATH,
        stream=stream,
    )
    return Asked(request=asked, render=render, writer=lambda: ChunkWriter(include_usage=include_usage))


CHAT = Dialect(path=PATH, parse=parse)


def chat_request(
    body: Mapping[str, Any],
    *,
    decision_id: str,
    model: str,
    endpoint: str,
    stream: bool,
    dropped: tuple[str, ...] = (),
) -> ChatRequest:
    """The request of a chat-completions body that is known to be well formed, whichever dialect it came from."""
    return ChatRequest(
        query=Query(
            id=decision_id,
            messages=tuple(body["messages"]),
            tools=tuple(body.get("tools") or ()),
            response_format=body.get("response_format"),
        ),
        model=model,
        body=body,
        endpoint=endpoint,
        stream=stream,
        dropped=dropped,
    )


def _check_messages(messages: Any) -> None:
    if not isinstance(messages, list) or not messages:
        raise wrong("messages", "is required: a list of at least one message")
    for n, message in enumerate(messages):
        where = f"messages[{n}]"
        if not isinstance(message, dict):
            raise wrong(where, "must be an object with role and content")
        if message.get("role") not in ROLES:
            raise wrong(f"{where}.role", f"must be one of {', '.join(ROLES)}")
        _check_content(where, message)
        if not is_objects(message.get("tool_calls") or []):
            raise wrong(f"{where}.tool_calls", "must be a list of objects")


def _check_content(where: str, message: Mapping[str, Any]) -> None:
    content = message.get("content")
    if content is None:
        if message["role"] != "assistant":
            raise wrong(f"{where}.content", "is required: a string or a list of content parts")
    elif isinstance(content, list):
        for n, part in enumerate(content):
            if not is_typed(part):
                raise wrong(f"{where}.content[{n}]", "must be an object with a type")
    elif not isinstance(content, str):
        raise wrong(f"{where}.content", "must be a string or a list of content parts")
