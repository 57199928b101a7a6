"""Every way in which the gateway refuses or fails, in one tree, each with what a client is told.

Knows HTTP status codes and OpenAI's error words. Knows no web framework: the routes turn these into responses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


class GatewayError(Exception):
    """The gateway cannot do what was asked of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong with a configuration file. ``line`` is 1-based, None where no line is to blame."""

    file: Path
    line: int | None
    field: str  # e.g. models[1].base_url; empty for the file as a whole
    message: str  # what is wrong and what would be right

    def __str__(self) -> str:
        place = f"{self.file}, line {self.line}" if self.line else str(self.file)
        return f"{place}: {self.field}: {self.message}" if self.field else f"{place}: {self.message}"


class ConfigError(GatewayError):
    """The configuration cannot be used. Carries every problem found, not only the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class RequestError(GatewayError):
    """A request ends with an error response.

    status : the HTTP status.   type, code, param : as OpenAI's error object has them.
    headers : to be sent along, e.g. ``retry-after``.
    """

    status = 400
    type = "invalid_request_error"
    code: str | None = None

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message, self.param = message, param
        self.code = code or type(self).code
        self.headers = dict(headers or {})


class InvalidRequest(RequestError):
    """The body or a parameter is not what the API takes."""


class InvalidKey(RequestError):
    """No key, an unknown key or a revoked key."""

    status, code = 401, "invalid_api_key"


class Forbidden(RequestError):
    """Who asks is known, and may not do this."""

    status, type, code = 403, "permission_error", "not_permitted"


class NotPermittedModel(Forbidden):
    """The key is good, and not for this model or policy."""

    code = "model_not_permitted"


class NotFound(RequestError):
    """There is no such thing, or it belongs to another tenant, which is told apart for nobody."""

    status, code = 404, "not_found"


class ModelNotFound(RequestError):
    """The named model, policy or strategy is not served here."""

    status, code = 404, "model_not_found"


class MethodNotAllowed(RequestError):
    """The path exists, the method on it does not."""

    status, code = 405, "method_not_allowed"


class BodyTooLarge(RequestError):
    """The request body is larger than the gateway accepts."""

    status, code = 413, "request_too_large"


class BodyTooSlow(RequestError):
    """The request body did not come to its end."""

    status, code = 408, "request_incomplete"


class NotCached(RequestError):
    """Only an answer that is kept was wanted, and there is none. Nothing was called."""

    status, code = 504, "not_cached"

    def __init__(self, message: str) -> None:
        super().__init__(message, headers={"x-should-retry": "false"})


class KeyReused(RequestError):
    """An Idempotency-Key that belongs to another request."""

    status, code = 422, "idempotency_key_reused"

    def __init__(self, message: str) -> None:
        super().__init__(message, param="Idempotency-Key")


class IdempotencyConflict(RequestError):
    """The first request under an Idempotency-Key stands in the way of this one. Nothing was called."""

    status, type = 409, "conflict_error"

    def __init__(self, message: str, *, code: str, headers: Mapping[str, str] | None = None) -> None:
        told = headers or {"x-should-retry": "false"}  # else clients would try again at once, and in vain
        super().__init__(message, param="Idempotency-Key", code=code, headers=told)


class ConfigRefused(RequestError):
    """The configuration file is wrong, and what was served before is served still."""

    status, code = 422, "config_refused"


class NoCapableModel(RequestError):
    """No tier that may answer can express what the request asks for."""

    code = "unsupported_by_every_tier"


class Unavailable(RequestError):
    """The gateway cannot serve for the moment: starting, draining, or without its database."""

    status, type, code = 503, "server_error", "unavailable"


class Overloaded(RequestError):
    """As many requests as the gateway may serve are under way, and no more may wait. Nothing was called."""

    status, type, code = 503, "server_error", "overloaded"


class TooManyAtOnce(RequestError):
    """As many calls as are allowed are under way, and no more may wait. Nothing was called."""

    status, type, code = 429, "rate_limit_error", "too_many_at_once"


class UpstreamFailed(RequestError):
    """Every model that could answer failed. ``status`` says in which way."""

    status, type, code = 502, "upstream_error", "upstream_error"

    def __init__(self, message: str, *, status: int, code: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message, code=code, headers=headers)
        self.status = status


class InternalError(RequestError):
    """A defect of the gateway. The message says nothing of its insides; the log does."""

    status, type, code = 500, "server_error", "internal_error"

    def __init__(self, message: str) -> None:
        super().__init__(message, headers={"x-should-retry": "false"})  # it may have been paid for
