"""What a chat-completions request asks of the simulated models, checked field by field.

Knows the request's side of OpenAI's wire format and its error shape. Knows no model's skill and no HTTP framework.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

_MOST_CHOICES, _MOST_TOP_LOGPROBS = 8, 20


class Refusal(Exception):
    """A request that cannot be served. ``status`` and the rest are what an OpenAI client is told."""

    def __init__(self, message: str, *, param: str | None = None, status: int = 400, code: str | None = None) -> None:
        super().__init__(message)
        self.message, self.param, self.status, self.code = message, param, status, code

    @property
    def body(self) -> dict[str, Any]:
        kind = "invalid_request_error"
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """A request as the simulated models understand it. ``top_logprobs`` is None where no logprobs are asked for."""

    model: str
    messages: tuple[Mapping[str, Any], ...]
    stream: bool
    include_usage: bool
    n: int
    max_tokens: int | None
    stop: tuple[str, ...]
    temperature: float
    seed: int | None
    top_logprobs: int | None


def parse(raw: bytes) -> ChatRequest:
    """The request in a body. Raises Refusal, naming the field."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Refusal(f"The body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise Refusal("The body must be a JSON object.")
    if body.get("response_format") not in (None, {"type": "text"}):
        raise Refusal("The simulated models write text only.", param="response_format")
    options = body.get("stream_options") or {}
    tokens_field = "max_completion_tokens" if body.get("max_completion_tokens") is not None else "max_tokens"
    return ChatRequest(
        model=_text(body, "model"),
        messages=_messages(body),
        stream=_flag(body, "stream"),
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
        n=_whole(body, "n", 1, _MOST_CHOICES) or 1,
        max_tokens=_whole(body, tokens_field, 1, 10**6),
        stop=_stop(body),
        temperature=_temperature(body),
        seed=_whole(body, "seed", -(2**63), 2**63 - 1),
        top_logprobs=_top_logprobs(body),
    )


def _text(body: Mapping[str, Any], field: str) -> str:
    value = body.get(field)
    if not isinstance(value, str) or not value:
        raise Refusal(f"'{field}' must be a non-empty string.", param=field)
    return value


def _flag(body: Mapping[str, Any], field: str) -> bool:
    value = body.get(field)
    if value is not None and not isinstance(value, bool):
        raise Refusal(f"'{field}' must be true or false.", param=field)
    return bool(value)


def _whole(body: Mapping[str, Any], field: str, least: int, most: int) -> int | None:
    value = body.get(field)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise Refusal(f"'{field}' must be a whole number from {least} to {most}.", param=field)
    return value


def _temperature(body: Mapping[str, Any]) -> float:
    value = body.get("temperature")
    if value is None:
        return 1.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 2:
        raise Refusal("'temperature' must be a number from 0 to 2.", param="temperature")
    return float(value)


def _stop(body: Mapping[str, Any]) -> tuple[str, ...]:
    value = body.get("stop")
    sequences = [value] if isinstance(value, str) else value or []
    if not isinstance(sequences, list) or not all(isinstance(sequence, str) for sequence in sequences):
        raise Refusal("'stop' must be a string or a list of strings.", param="stop")
    return tuple(sequences)


def _top_logprobs(body: Mapping[str, Any]) -> int | None:
    top = _whole(body, "top_logprobs", 0, _MOST_TOP_LOGPROBS)
    if _flag(body, "logprobs"):
        return top or 0
    if top is not None:
        raise Refusal("'top_logprobs' needs 'logprobs' to be true.", param="top_logprobs")
    return None


def _messages(body: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Refusal("'messages' must be a list of at least one message.", param="messages")
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise Refusal(f"'messages[{index}]' must be an object with a 'role'.", param=f"messages[{index}]")
        _check_content(message.get("content"), f"messages[{index}].content")
    return tuple(messages)


def _check_content(content: object, param: str) -> None:
    if content is None or isinstance(content, str):
        return
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        raise Refusal(f"'{param}' must be a string or a list of parts.", param=param)
    for part in content:
        if part.get("type") != "text" or not isinstance(part.get("text"), str):
            raise Refusal(f"'{param}': the simulated models read text parts only.", param=param)
