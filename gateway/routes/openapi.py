"""GET /openapi.json: what is served, with every status that may come.

The framework describes its own routes; completions are described by their dialects. Knows which errors there are.
"""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from gateway.dialects.document import completion_paths

Json = dict[str, Any]
_OPENAI: Json = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
            "required": ["message", "type", "param", "code"],
        }
    },
    "required": ["error"],
}
_ANTHROPIC: Json = {
    "type": "object",
    "properties": {
        "type": {"const": "error"},
        "error": {
            "type": "object",
            "properties": {"type": {"type": "string"}, "message": {"type": "string"}},
            "required": ["type", "message"],
        },
        "request_id": {"type": "string"},
    },
    "required": ["type", "error"],
}
_STATUSES = {
    400: "A field is wrong, or no tier can serve the request; `param` names the field.",
    401: "There is no key, or it is not known here.",
    402: "A budget is spent.",
    403: "The key may not do this.",
    404: "There is no such model, decision or path.",
    405: "The path is served by another method.",
    408: "The body did not come to its end.",
    409: "It stands against what there is already.",
    413: "The body is too large.",
    422: "What was sent together does not fit together.",
    429: "A limit is reached; `retry-after` says when to come back.",
    502: "The model's server failed.",
    503: "Busy, starting, stopping, or without its database.",
    504: "The model's server did not answer in time.",
}
_ANTHROPICS_OWN = {529: "Busy, starting, stopping, or without its database."}
_MESSAGES = "/v1/messages"
_SCHEMES: Json = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A virtual key, `sk-spw-…`."},
    "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "The same, as Anthropic's do."},
}


def describe(app: FastAPI, version: str) -> None:
    """Let the application describe itself, once, when it is first asked."""

    def document() -> Json:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, version)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # the way that the framework documents


def _document(app: FastAPI, version: str) -> Json:
    told = get_openapi(title="Spillway", version=version, routes=app.routes)
    for path, operations in told["paths"].items():
        for operation in operations.values():
            _with_errors(path, operation)
    told["paths"] |= completion_paths(_errors("/v1/chat"))
    messages = told["paths"][_MESSAGES]["post"]
    messages["responses"] = {"200": messages["responses"]["200"], **_errors(_MESSAGES)}
    components = told.setdefault("components", {})
    components["schemas"] = {
        name: schema
        for name, schema in components.get("schemas", {}).items()
        if name not in ("HTTPValidationError", "ValidationError")
    } | {"Error": _OPENAI, "AnthropicError": _ANTHROPIC}
    components["securitySchemes"] = _SCHEMES
    told["security"] = [{"bearer": []}, {"x-api-key": []}]
    return told


def _with_errors(path: str, operation: Json) -> None:
    operation["responses"].pop("422", None)  # the framework's own shape, which is never sent
    operation["responses"] = _errors(path) | operation["responses"]


def _errors(path: str) -> Json:
    own = path.startswith(_MESSAGES)
    schemas = [{"$ref": "#/components/schemas/AnthropicError" if own else "#/components/schemas/Error"}]
    if path.startswith("/v1/models"):
        schemas.append({"$ref": "#/components/schemas/AnthropicError"})
    statuses = _STATUSES | (_ANTHROPICS_OWN if own else {})
    schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    return {
        str(status): {"description": said, "content": {"application/json": {"schema": schema}}}
        for status, said in statuses.items()
    }
