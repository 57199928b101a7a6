"""How an error looks on the wire: OpenAI's error object, and an id by which the log can be searched.

Knows the shape. Which error it is, with status and words, is said where it is raised (``gateway/errors.py``).
"""

from typing import Any

from starlette.responses import Response

from gateway.errors import RequestError
from gateway.json_bytes import encode
from gateway.routes.headers import safe

JSON = "application/json"


def error_object(error: RequestError) -> dict[str, Any]:
    """``{"error": {...}}`` as OpenAI's clients read it, in a body or in a stream."""
    return {"error": {"message": error.message, "type": error.type, "param": error.param, "code": error.code}}


def error_response(error: RequestError, request_id: str) -> Response:
    """The error as an HTTP response."""
    headers = {name: safe(value) for name, value in error.headers.items()}
    if error.status == 401:
        headers.setdefault("www-authenticate", "Bearer")
    return Response(encode(error_object(error)), error.status, headers | {"x-request-id": request_id}, media_type=JSON)
