"""OpenAI's chat completion format: from a body to a request, from an answer to a body.

Knows field names and types, and names the one that is wrong. Fields that it does not know pass through untouched.
Ranges are left to the models, which differ in them.
"""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from gateway.completion import ChatRequest, Completion
from gateway.errors import InvalidRequest
from scorer.answer import Query

ROLES = ("system", "developer", "user", "assistant", "tool", "function")

Check = Callable[[Any], bool]


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_strings(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value))


def _is_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _is_typed(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("type"), str)


_INTEGER: tuple[Check, str] = (_is_int, "an integer")
_POSITIVE: tuple[Check, str] = (lambda value: _is_int(value) and value >= 1, "an integer of at least 1")
_NUMBER: tuple[Check, str] = (_is_number, "a number")
_BOOLEAN: tuple[Check, str] = (lambda value: isinstance(value, bool), "true or false")
_OBJECT: tuple[Check, str] = (lambda value: isinstance(value, dict), "an object")

_OPTIONAL: Mapping[str, tuple[Check, str]] = {
    "n": (lambda value: _is_int(value) and 1 <= value <= 128, "an integer from 1 to 128"),
    "temperature": _NUMBER,
    "top_p": _NUMBER,
    "presence_penalty": _NUMBER,
    "frequency_penalty": _NUMBER,
    "max_tokens": _POSITIVE,
    "max_completion_tokens": _POSITIVE,
    "seed": _INTEGER,
    "logprobs": _BOOLEAN,
    "top_logprobs": _INTEGER,
    "stop": (_is_strings, "a string or a list of strings"),
    "stream": _BOOLEAN,
    "stream_options": _OBJECT,
    "tools": (lambda value: _is_objects(value) and all(map(_is_typed, value)), "a list of objects with a type"),
    "tool_choice": (lambda value: isinstance(value, str | dict), "a string or an object"),
    "parallel_tool_calls": _BOOLEAN,
    "response_format": (_is_typed, "an object with a type"),
    "logit_bias": _OBJECT,
    "metadata": _OBJECT,
    "user": (lambda value: isinstance(value, str), "a string"),
}


def parse_chat(raw: bytes, decision_id: str, endpoint: str) -> ChatRequest:
    """A chat completion request. Raises InvalidRequest naming the parameter at fault."""
    body = _object(raw)
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise _wrong("model", "is required: the name of a model, or auto")
    _check_messages(body.get("messages"))
    for name, (fits, right) in _OPTIONAL.items():
        if body.get(name) is not None and not fits(body[name]):
            raise _wrong(name, f"must be {right}")
    stream = body.get("stream") is True
    options = body.get("stream_options") or {}
    if options and not stream:
        raise _wrong("stream_options", "is only allowed when stream is true")
    if not isinstance(options.get("include_usage"), bool | None):
        raise _wrong("stream_options.include_usage", "must be true or false")
    own = ("model", "stream", "stream_options")
    return ChatRequest(
        query=Query(
            id=decision_id,
            messages=tuple(body["messages"]),
            tools=tuple(body.get("tools") or ()),
            response_format=body.get("response_format"),
        ),
        model=model,
        body={name: value for name, value in body.items() if name not in own},
        endpoint=endpoint,
        stream=stream,
        include_usage=options.get("include_usage") is True,
    )


def render_completion(completion: Completion) -> dict[str, Any]:
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
    spent = completion.decision.spent
    nanousd = None if spent is None else spent.nanousd
    return dict(usage) | {"cost": None if nanousd is None else nanousd / 1e9}


def _object(raw: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InvalidRequest(f"The body is not valid JSON: {error.msg.split(':')[0]}, at {place}.") from None
    if not isinstance(body, dict):
        raise InvalidRequest("The body must be a JSON object with at least the fields model and messages.")
    return body


def _check_messages(messages: Any) -> None:
    if not isinstance(messages, list) or not messages:
        raise _wrong("messages", "is required: a list of at least one message")
    for n, message in enumerate(messages):
        where = f"messages[{n}]"
        if not isinstance(message, dict):
            raise _wrong(where, "must be an object with role and content")
        if message.get("role") not in ROLES:
            raise _wrong(f"{where}.role", f"must be one of {', '.join(ROLES)}")
        _check_content(where, message)
        if not _is_objects(message.get("tool_calls") or []):
            raise _wrong(f"{where}.tool_calls", "must be a list of objects")


def _check_content(where: str, message: Mapping[str, Any]) -> None:
    content = message.get("content")
    if content is None:
        if message["role"] != "assistant":
            raise _wrong(f"{where}.content", "is required: a string or a list of content parts")
    elif isinstance(content, list):
        for n, part in enumerate(content):
            if not _is_typed(part):
                raise _wrong(f"{where}.content[{n}]", "must be an object with a type")
    elif not isinstance(content, str):
        raise _wrong(f"{where}.content", "must be a string or a list of content parts")


def _wrong(name: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"{name} {what}.", param=name, code="invalid_parameter")
