"""How a refusal or a failure looks in each dialect.

Knows the shapes. Which error it is, with status and words, is said where it is raised (``gateway/errors.py``).
"""

from typing import Any

from gateway.errors import RequestError

_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
ANTHROPIC_OVERLOADED = 529


def openai_error(error: RequestError) -> dict[str, Any]:
    """``{"error": {...}}`` as OpenAI's clients read it, in a body or in a stream."""
    return {"error": {"message": error.message, "type": error.type, "param": error.param, "code": error.code}}


def anthropic_error(error: RequestError, request_id: str) -> dict[str, Any]:
    """``{"type": "error", ...}`` as Anthropic's clients read it. ``code`` and ``param`` are ours, beside theirs."""
    kind = _ANTHROPIC_TYPES.get(error.status, "invalid_request_error" if error.status < 500 else "api_error")
    told = {"type": kind, "message": error.message, "code": error.code, "param": error.param}
    return {"type": "error", "error": told, "request_id": request_id}


def anthropic_status(error: RequestError) -> int:
    """Anthropic says 529 where others say 503 for being overloaded."""
    return ANTHROPIC_OVERLOADED if error.status == 503 else error.status
