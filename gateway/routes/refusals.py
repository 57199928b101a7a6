"""An error as an HTTP response in the dialect of the endpoint asked, with an id by which the log can be searched.

Knows which endpoints speak which dialect. The shapes are in ``gateway/dialects/errors.py``.
"""

from starlette.responses import Response
from starlette.types import Scope

from gateway.dialects.errors import anthropic_error, anthropic_status, openai_error
from gateway.errors import RequestError
from gateway.json_bytes import encode
from gateway.routes.headers import safe

JSON = "application/json"
_ANTHROPIC = "/v1/messages"


def error_response(error: RequestError, scope: Scope) -> Response:
    """The error as its client reads it."""
    request_id = str(scope["state"]["request_id"])
    headers = {name: safe(value) for name, value in error.headers.items()} | {"x-request-id": request_id}
    if error.status == 401:
        headers.setdefault("www-authenticate", "Bearer")
    if speaks_anthropic(scope):
        told, status = anthropic_error(error, request_id), anthropic_status(error)
        headers["request-id"] = request_id
    else:
        told, status = openai_error(error), error.status
    return Response(encode(told), status, headers, media_type=JSON)


def speaks_anthropic(scope: Scope) -> bool:
    """Whether a client expects Anthropic's shapes: by the path, or on shared paths by the version that it names."""
    path: str = scope["path"]
    if path == _ANTHROPIC or path.startswith(_ANTHROPIC + "/"):
        return True
    shared = path == "/v1/models" or path.startswith("/v1/models/")
    return shared and any(name == b"anthropic-version" for name, _ in scope["headers"])
