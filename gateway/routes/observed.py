"""Around every request: its id, its access log line, its metrics, and an answer even where the gateway has a defect.

Knows when a request begins and ends. Logs no header, no query string and no body.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import InternalError, Unavailable
from gateway.routes.refusals import error_response
from gateway.telemetry.logs import Stopwatch, access
from gateway.telemetry.metrics import Telemetry
from gateway.telemetry.tracing import Trace, Tracing, under_way
from router.ids import new_id

_defects = logging.getLogger("spillway.defects")
_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})


def request_id(scope: Scope) -> str:
    """The id of this request, which is that of its decision too."""
    return str(scope["state"]["request_id"])


def notes(scope: Scope) -> dict[str, Any]:
    """What the access log is to say of this request besides what it says of every one."""
    noted: dict[str, Any] = scope["state"]["notes"]
    return noted


def served_at(scope: Scope, path: str) -> None:
    """Say which endpoint this is, where the framework does not know: a bare ASGI application."""
    scope["state"]["endpoint"] = path


class Observed:
    """The outermost ASGI application."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry, *, access_log: bool, tracing: Tracing | None = None) -> None:
        self._app, self._telemetry, self._access_log, self._tracing = app, telemetry, access_log, tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._tracing is None or scope["path"] in _QUIET:
            await self._observed(scope, receive, send, None)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        trace = self._tracing.began(scope["method"], headers)
        with under_way(trace):
            await self._observed(scope, receive, send, trace)

    async def _observed(self, scope: Scope, receive: Receive, send: Send, trace: Trace | None) -> None:
        state = scope["state"] = dict(scope.get("state") or {})
        state |= {"request_id": new_id("dec"), "notes": {}}
        status = 0

        async def noticing(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        watch = Stopwatch()
        self._telemetry.request_began()
        try:
            await self._app(scope, receive, noticing)
        except Exception:
            _defects.exception("a request failed inside the gateway", extra={"fields": {"id": request_id(scope)}})
            if status:
                raise  # too late for words: the server cuts the connection, so nobody takes the part for the whole
            await error_response(InternalError(_SORRY), scope)(scope, receive, noticing)
        except asyncio.CancelledError:  # the server's patience with a stop is over
            if not status:
                stopping = Unavailable(_STOPPING, headers={"x-should-retry": "false"})  # it may have been paid for
                await error_response(stopping, scope)(scope, receive, noticing)
            raise
        finally:
            self._telemetry.request_ended(_endpoint(scope), status or 499, watch.seconds)
            if trace is not None:
                trace.ended(_endpoint(scope), status or 499)
            if self._access_log and scope["path"] not in _QUIET:
                access.info("request", extra={"fields": _line(scope, status, watch.seconds)})


_SORRY = "The gateway has failed within. Its log says more under this response's x-request-id."


_STOPPING = "The gateway had to stop before there was an answer."


def _endpoint(scope: Scope) -> str:
    own: str | None = scope["state"].get("endpoint")
    return own or str(getattr(scope.get("route"), "path", "")) or "unmatched"


def _line(scope: Scope, status: int, seconds: float) -> Mapping[str, Any]:
    said = {
        "id": request_id(scope),
        "method": scope["method"],
        "endpoint": _endpoint(scope),
        "status": status or 499,  # the client went away before there was a status
        "ms": round(seconds * 1000, 1),
    }
    return said | {name: value for name, value in notes(scope).items() if name not in said}
