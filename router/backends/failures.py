"""What an upstream's refusal means: from a status, headers and a body to the error that callers know.

Knows HTTP's and OpenAI's conventions. Lets no credential through into a message.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from router.errors import (
    BackendBroken,
    BackendBusy,
    BackendError,
    BackendMissing,
    BackendNonsense,
    BackendRefused,
    BackendTimeout,
    BackendUnauthorized,
)

_MAX_MESSAGE = 500
_LOOKS_SECRET = re.compile(r"\b(?:sk|pk|rk|gsk|hf|xai|key|AIza)[-_][\w*.\-]{6,}|(?i:\bbearer\s+)[\w*.\-]{6,}")
_KINDS: Mapping[int, type[BackendError]] = {
    401: BackendUnauthorized,
    402: BackendUnauthorized,
    403: BackendUnauthorized,
    404: BackendMissing,
    408: BackendTimeout,
    429: BackendBusy,
    503: BackendBusy,
    504: BackendTimeout,
    529: BackendBusy,
}


def failure(model: str, status: int, message: str, *, retry_after_s: float | None = None) -> BackendError:
    """The error for an HTTP status of 300 and above."""
    kind = _KINDS.get(status)
    if kind is None:
        kind = BackendBroken if status >= 500 else BackendRefused if status >= 400 else BackendNonsense
    return kind(model, message, status=status, retry_after_s=retry_after_s)


def failure_in_body(model: str, body: Mapping[str, Any], message: str) -> BackendError:
    """The error for an error object that came with a 200, by the status it names, if any."""
    error = body.get("error")
    code = error.get("code", error.get("status")) if isinstance(error, Mapping) else None
    try:
        status = int(code) if code is not None else 200
    except (TypeError, ValueError):
        status = 200
    if 400 <= status < 600:
        return failure(model, status, message)
    return BackendNonsense(model, f"answered 200 with an error: {message}", status=200)


def message_in(payload: bytes | Mapping[str, Any], secrets: Iterable[str] = ()) -> str:
    """The readable part of an error body: its message where it has one, else its beginning; without secrets."""
    body: Any = payload
    if isinstance(payload, bytes):
        try:
            body = orjson.loads(payload)
        except orjson.JSONDecodeError:
            body = payload.decode("utf-8", "replace")
    if isinstance(body, Mapping):
        error = body.get("error", body)
        named = error.get("message") or error.get("detail") if isinstance(error, Mapping) else error
        body = named or orjson.dumps(body, default=str).decode()
    return redacted(" ".join(str(body).split()), secrets) or "no message"


def redacted(text: str, secrets: Iterable[str] = ()) -> str:
    """The text, cut to a readable length, with known secrets and what looks like one taken out."""
    for secret in secrets:
        if len(secret) >= 4:
            text = text.replace(secret, "[redacted]")
    return _LOOKS_SECRET.sub("[redacted]", text)[:_MAX_MESSAGE]


def retry_after_s(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds that the upstream asks to wait: ``retry-after-ms``, else ``retry-after`` as seconds or as a date.

    A date is read by the upstream's own clock, if its ``date`` header tells it: clocks differ by more than waits do.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    told = headers.get("retry-after")
    seconds = _number(told)
    if seconds is not None or told is None:
        return seconds
    moment = _moment(told)
    theirs = _moment(headers.get("date")) or now or datetime.now(UTC)
    return None if moment is None else max(0.0, (moment - theirs).total_seconds())


def _moment(text: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text) if text is not None else None
    except (ValueError, OverflowError):
        return None
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else None
    except ValueError:
        return None
    return value if value is not None and 0 <= value < 1e9 else None
