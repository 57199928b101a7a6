"""OpenAI's Responses API: from a body to a chat completion request.

Knows its fields. Nothing is stored here: what leans on a stored response is refused by name, and every response says
``store: false``. Fields that are unknown here pass through to the model.
"""

from collections.abc import Mapping
from typing import Any

from gateway.dialects.chat.request import chat_request
from gateway.dialects.dialect import Asked, Dialect
from gateway.dialects.fields import (
    BOOLEAN,
    LIST_OF_STRINGS,
    NUMBER,
    OBJECT,
    POSITIVE,
    STRING,
    Kind,
    between,
    check,
    model_of,
    read_object,
    unsupported,
    wrong,
)
from gateway.dialects.responses.answer import Echo, render
from gateway.dialects.responses.events import ResponseWriter
from gateway.dialects.responses.items import messages_of
from gateway.dialects.responses.tools import choice_of, format_of, tools_of

PATH = "/v1/responses"
Json = dict[str, Any]

FIELDS: Mapping[str, Kind] = {
    "instructions": STRING,
    "max_output_tokens": POSITIVE,
    "temperature": NUMBER,
    "top_p": NUMBER,
    "top_logprobs": between(0, 20),
    "stream": BOOLEAN,
    "stream_options": OBJECT,
    "parallel_tool_calls": BOOLEAN,
    "store": BOOLEAN,
    "background": BOOLEAN,
    "include": LIST_OF_STRINGS,
    "metadata": OBJECT,
    "reasoning": OBJECT,
    "text": OBJECT,
    "truncation": STRING,
    "max_tool_calls": POSITIVE,
    "user": STRING,
}
LEANS_ON_STORAGE = {
    "previous_response_id": "is not supported here: no response is stored; send the whole conversation as input",
    "conversation": "is not supported here: no conversation is stored; send it as input",
    "prompt": "is not supported here: no prompt template is stored; send its text as instructions",
    "background": "is not supported here: a response is awaited or streamed",
}
_LOGPROBS = "message.output_text.logprobs"
_INCLUDED = (_LOGPROBS, "reasoning.encrypted_content")
_CONVERTED = frozenset(
    {"model", "stream", "stream_options", "input", "instructions", "max_output_tokens", "store", "include", "reasoning",
     "text", "tools", "tool_choice", "truncation", "max_tool_calls", *LEANS_ON_STORAGE}
)  # fmt: skip


def parse(raw: bytes, decision_id: str) -> Asked:
    """A Responses request. Raises InvalidRequest naming the field at fault."""
    body = read_object(raw, "model and input")
    model = model_of(body)
    chat, dropped = to_chat(body)
    request = chat_request(
        chat,
        decision_id=decision_id,
        model=model,
        endpoint=PATH,
        stream=body.get("stream") is True,
        dropped=dropped,
    )
    echo = Echo(body)
    return Asked(request=request, render=lambda done: render(done, echo), writer=lambda: ResponseWriter(echo))


RESPONSES = Dialect(path=PATH, parse=parse)


def to_chat(body: Mapping[str, Any]) -> tuple[Json, tuple[str, ...]]:
    """The chat-completions body, and the hints that it cannot hold. Raises InvalidRequest."""
    check(body, FIELDS)
    for name, why in LEANS_ON_STORAGE.items():
        if body.get(name):
            raise unsupported(name, why)
    if body.get("n") not in (None, 1):
        raise unsupported("n", "must be 1: a response is one answer")
    messages, dropped = messages_of(body.get("input"))
    chat: Json = {name: value for name, value in body.items() if name not in _CONVERTED and value is not None}
    if body.get("instructions") is not None:
        messages = [{"role": "system", "content": body["instructions"]}, *messages]
    chat["messages"] = messages
    if body.get("max_output_tokens") is not None:
        chat["max_tokens"] = body["max_output_tokens"]
    if body.get("tools"):
        chat["tools"] = tools_of(body["tools"])
    if body.get("tool_choice") is not None:
        chat["tool_choice"] = choice_of(body["tool_choice"])
    chat |= format_of(body.get("text") or {})
    return chat | _reasoning(body) | _logprobs(body), (*dropped, *_dropped(body))


def _reasoning(body: Mapping[str, Any]) -> Json:
    effort = (body.get("reasoning") or {}).get("effort")
    if effort is None:
        return {}
    if not isinstance(effort, str):
        raise wrong("reasoning.effort", "must be a string")
    return {"reasoning_effort": effort}


def _logprobs(body: Mapping[str, Any]) -> Json:
    asked = _LOGPROBS in (body.get("include") or ()) or bool(body.get("top_logprobs"))
    return {"logprobs": True} if asked else {}


def _dropped(body: Mapping[str, Any]) -> list[str]:
    reasoning = body.get("reasoning") or {}
    dropped = [f"include.{name}" for name in body.get("include") or () if name not in _INCLUDED]
    dropped += [f"reasoning.{name}" for name in ("summary", "generate_summary") if reasoning.get(name)]
    if body.get("truncation") not in (None, "disabled"):
        dropped.append("truncation")
    return [*dropped, *(["max_tool_calls"] if body.get("max_tool_calls") else [])]
