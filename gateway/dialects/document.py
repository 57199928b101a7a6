"""The OpenAPI document's part on what completions are asked with and answered with.

Requests are described by the very tables that they are checked with. Knows shapes; the rest of the document is the
framework's (``gateway/routes/openapi.py``).
"""

from collections.abc import Mapping
from typing import Any

from gateway.dialects.anthropic.request import FIELDS as MESSAGES_FIELDS
from gateway.dialects.anthropic.request import PATH as MESSAGES
from gateway.dialects.chat.request import FIELDS as CHAT_FIELDS
from gateway.dialects.chat.request import PATH as CHAT
from gateway.dialects.chat.request import ROLES
from gateway.dialects.embeddings.request import FIELDS as EMBEDDINGS_FIELDS
from gateway.dialects.embeddings.request import PATH as EMBEDDINGS
from gateway.dialects.fields import Kind
from gateway.dialects.legacy.request import FIELDS as LEGACY_FIELDS
from gateway.dialects.legacy.request import PATH as LEGACY
from gateway.dialects.responses.request import FIELDS as RESPONSES_FIELDS
from gateway.dialects.responses.request import PATH as RESPONSES
from gateway.wishes import FIELD, SCHEMA

Json = dict[str, Any]
_TEXT: Json = {"type": "string"}
_NAME: Json = {"type": "string", "minLength": 1}
_TYPED: Json = {"type": "object", "properties": {"type": _TEXT}, "required": ["type"]}
_OBJECT: Json = {"type": "object"}
_CONTENT: Json = {"anyOf": [_TEXT, {"type": "array", "items": _TYPED}]}
_MODEL: Json = {"type": "string", "minLength": 1, "description": "`auto`, `cascade/<policy>`, or a model's own name."}
_MESSAGE: Json = {
    "type": "object",
    "properties": {
        "role": {"type": "string", "enum": list(ROLES)},
        "content": {"anyOf": [*_CONTENT["anyOf"], {"type": "null"}], "description": "null with assistants only"},
        "tool_calls": {"type": "array", "items": _OBJECT},
    },
    "required": ["role", "content"],
}
_TURN: Json = {
    "type": "object",
    "properties": {"role": {"type": "string", "enum": ["user", "assistant", "system"]}, "content": _CONTENT},
    "required": ["role", "content"],
}
_TOOL: Json = {
    "type": "object",
    "properties": {"name": _NAME, "description": _TEXT, "input_schema": _OBJECT},
    "required": ["name", "input_schema"],
}
_TOKENS: Json = {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 2**31}, "minItems": 1}
_ITEM: Json = {"anyOf": [_TURN, _TYPED]}

_ANSWERS: Mapping[str, tuple[str, Json]] = {
    CHAT: ("chat.completion", {"choices": {"type": "array", "items": _OBJECT}}),
    LEGACY: ("text_completion", {"choices": {"type": "array", "items": _OBJECT}}),
    RESPONSES: ("response", {"output": {"type": "array", "items": _TYPED}, "status": _TEXT}),
    EMBEDDINGS: ("list", {"data": {"type": "array", "items": _OBJECT}}),
}
_SUMMARIES = {
    CHAT: "A chat completion, as OpenAI's API has it",
    LEGACY: "A legacy completion: the prompt is the one message of a chat",
    RESPONSES: "A response, as OpenAI's API has it; nothing is stored",
    MESSAGES: "A message, as Anthropic's API has it",
    EMBEDDINGS: "Vectors of texts",
}


def _body(fields: Mapping[str, Kind], required: Mapping[str, Json], optional: Mapping[str, Json] | None = None) -> Json:
    told: Json = {name: {"anyOf": [kind.schema, {"type": "null"}]} for name, kind in fields.items()}
    properties = told | dict(optional or {}) | {"model": _MODEL, FIELD: dict(SCHEMA)} | dict(required)
    return {"type": "object", "properties": properties, "required": ["model", *required], "additionalProperties": True}


REQUESTS: Mapping[str, Json] = {
    CHAT: _body(CHAT_FIELDS, {"messages": {"type": "array", "items": _MESSAGE, "minItems": 1}}),
    LEGACY: _body(LEGACY_FIELDS, {"prompt": {"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "maxItems": 1}]}}),
    RESPONSES: _body(
        RESPONSES_FIELDS,
        {"input": {"anyOf": [_TEXT, {"type": "array", "items": _ITEM, "minItems": 1}]}},
        {"tools": {"type": "array", "items": _TYPED}, "tool_choice": {"anyOf": [_TEXT, _TYPED]}},
    ),
    MESSAGES: _body(
        MESSAGES_FIELDS,
        {
            "max_tokens": dict(MESSAGES_FIELDS["max_tokens"].schema),
            "messages": {"type": "array", "items": _TURN, "minItems": 1},
        },
        {"system": _CONTENT, "tools": {"type": "array", "items": _TOOL}},
    ),
    EMBEDDINGS: _body(
        EMBEDDINGS_FIELDS,
        {
            "input": {
                "anyOf": [
                    _NAME,
                    _TOKENS,
                    {"type": "array", "items": _NAME, "minItems": 1, "maxItems": 2048},
                    {"type": "array", "items": _TOKENS, "minItems": 1, "maxItems": 2048},
                ]
            }
        },
    ),
}


def counting_body() -> Json:
    """The body of a count: a message's, whose answer need not be bounded."""
    schema = REQUESTS[MESSAGES]
    counted = schema | {"required": [name for name in schema["required"] if name != "max_tokens"]}
    return {"required": True, "content": {"application/json": {"schema": counted}}}


def completion_paths(error_statuses: Mapping[str, Json]) -> Json:
    """By path, the operations. error_statuses : by status, the responses that every operation may have."""
    return {
        path: {
            "post": {
                "operationId": "post" + path.replace("/", "_"),
                "summary": _SUMMARIES[path],
                "tags": ["completions"],
                "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
                "responses": {"200": _answered(path), **error_statuses},
            }
        }
        for path, schema in REQUESTS.items()
    }


def _answered(path: str) -> Json:
    content: Json = {"application/json": {"schema": _answer(path)}}
    if path != EMBEDDINGS:
        content["text/event-stream"] = {"schema": {"type": "string", "description": "With `stream: true`."}}
    return {"description": "The answer; headers `x-spillway-*` say how it came about.", "content": content}


def _answer(path: str) -> Json:
    if path == MESSAGES:
        properties: Json = {
            "id": _TEXT,
            "type": {"const": "message"},
            "role": {"const": "assistant"},
            "model": _TEXT,
            "content": {"type": "array", "items": _TYPED},
            "stop_reason": {"type": ["string", "null"]},
            "usage": _OBJECT,
        }
    else:
        kind, more = _ANSWERS[path]
        properties = {"object": {"const": kind}, "model": _TEXT, "usage": {"type": ["object", "null"]}, **more}
    return {"type": "object", "properties": properties, "required": list(properties)}
