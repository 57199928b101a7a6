"""A collector of OpenTelemetry's for tests: what exporters post to it, parsed by the protocol's own messages."""

import asyncio
import gzip
from dataclasses import dataclass
from typing import Any, Self

from aiohttp import web
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One span. kind : 2 a server's, 3 a client's.   failed : its status is an error."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: int
    failed: bool
    status_text: str
    said: dict[str, Any]


class Collector:
    """It listens on a free port while the ``async with`` lasts. deaf : it takes connections and answers nothing."""

    def __init__(self, *, deaf: bool = False) -> None:
        self.deaf, self.raw, self.headers = deaf, b"", list[dict[str, str]]()
        self.spans: list[Seen] = []
        self.metrics: dict[str, list[dict[str, Any]]] = {}
        self.url = ""
        self._runner: web.AppRunner | None = None
        self._leaving = asyncio.Event()

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/v1/traces", self._traces)
        app.router.add_post("/v1/metrics", self._metrics)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = "http://127.0.0.1:{}".format(*self._runner.addresses[0][1:2])
        return self

    async def __aexit__(self, *_: object) -> None:
        self._leaving.set()
        assert self._runner is not None
        await self._runner.cleanup()

    async def _body(self, request: web.Request) -> bytes:
        body: bytes = await request.read()
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        if self.deaf:
            await self._leaving.wait()
        if body.startswith(b"\x1f\x8b"):
            body = gzip.decompress(body)
        self.raw += body
        return body

    async def _traces(self, request: web.Request) -> web.Response:
        told = ExportTraceServiceRequest.FromString(await self._body(request))
        for span in (span for one in told.resource_spans for scope in one.scope_spans for span in scope.spans):
            self.spans.append(
                Seen(
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    name=span.name,
                    kind=span.kind,
                    failed=span.status.code == 2,
                    status_text=span.status.message,
                    said=_said(span.attributes),
                )
            )
        return web.Response()

    async def _metrics(self, request: web.Request) -> web.Response:
        told = ExportMetricsServiceRequest.FromString(await self._body(request))
        scopes = [scope for one in told.resource_metrics for scope in one.scope_metrics]
        for metric in (metric for scope in scopes for metric in scope.metrics):
            points = [_said(point.attributes) | {"sum": point.sum} for point in metric.histogram.data_points]
            self.metrics[metric.name] = points
        return web.Response()


def _said(attributes: Any) -> dict[str, Any]:
    found = {}
    for one in attributes:
        kind = one.value.WhichOneof("value")
        value = getattr(one.value, kind)
        found[one.key] = [part.string_value for part in value.values] if kind == "array_value" else value
    return found
