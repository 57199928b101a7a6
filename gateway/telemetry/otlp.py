"""Traces and the conventions' metrics over OTLP. The only file that speaks OpenTelemetry, loaded where it is wanted.

Knows spans, instruments and exporters. Recording never waits: what the collector does not take in time is dropped.
"""

import asyncio
import importlib.metadata
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import Meter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gateway.telemetry.names import Instruments, Spans
from gateway.telemetry.tracing import Facts
from router.outcome import Attempt
from router.trial import Opening

_BATCH = 512
_PATIENCE_S = 1.0
_context = TraceContextTextMapPropagator()


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Collector:
    """Where to send. endpoint : ``/v1/traces`` and ``/v1/metrics`` stand below it.   queue : spans held at most."""

    endpoint: str
    headers: Mapping[str, str]
    sample_ratio: float
    timeout_s: float
    queue: int
    spans_every_s: float
    metrics_every_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """Whom a model's calls reach. upstream_model : the provider's own name."""

    provider: str
    upstream_model: str


Calls = Callable[[str], Called]


class Otlp:
    """gateway.telemetry.tracing.Tracing. calls : by model."""

    def __init__(self, collector: Collector, calls: Calls) -> None:
        base, timeout_s = collector.endpoint.rstrip("/"), collector.timeout_s
        headers = dict(collector.headers)
        resource = Resource.create({"service.name": "spillway", "service.version": _version()})
        self._spans = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(collector.sample_ratio)), resource=resource, shutdown_on_exit=False
        )
        self._spans.add_span_processor(
            BatchSpanProcessor(
                OTLPSpanExporter(f"{base}/v1/traces", headers=headers, timeout=timeout_s),
                max_queue_size=collector.queue,
                max_export_batch_size=min(_BATCH, collector.queue),
                schedule_delay_millis=collector.spans_every_s * 1000,
            )
        )
        reader = PeriodicExportingMetricReader(
            OTLPMetricExporter(f"{base}/v1/metrics", headers=headers, timeout=timeout_s),
            export_interval_millis=collector.metrics_every_s * 1000,
            export_timeout_millis=timeout_s * 1000,
        )
        self._metrics = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
        self._tracer = self._spans.get_tracer("spillway", _version())
        self._counted = _Counted(self._metrics.get_meter("spillway", _version()))
        self._calls, self._timeout_s = calls, timeout_s

    def began(self, method: str, headers: Mapping[str, str]) -> "OtlpTrace":
        """The request's span, a child of the client's where it told one."""
        parent = _context.extract(headers)
        span = self._tracer.start_span(method, context=parent, kind=SpanKind.SERVER, attributes={Spans.METHOD: method})
        return OtlpTrace(self._tracer, span, self._counted, self._calls, method)

    async def aclose(self) -> None:
        """Send what is left, for as long as one export may take."""
        loop, sent = asyncio.get_running_loop(), asyncio.Event()

        def send() -> None:
            self._spans.force_flush(int(self._timeout_s * 1000))
            self._spans.shutdown()
            with suppress(Exception):  # the exporter has said what is wrong
                self._metrics.shutdown(timeout_millis=self._timeout_s * 1000)
            with suppress(RuntimeError):  # the loop had no more patience
                loop.call_soon_threadsafe(sent.set)

        threading.Thread(target=send, name="otlp-last-words", daemon=True).start()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._timeout_s + _PATIENCE_S):
                await sent.wait()


class _Counted:
    def __init__(self, meter: Meter) -> None:
        self.tokens = meter.create_histogram(
            Instruments.TOKENS,
            "{token}",
            "Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=Instruments.TOKEN_BUCKETS,
        )
        self.seconds = meter.create_histogram(
            Instruments.DURATION,
            "s",
            "GenAI operation duration.",
            explicit_bucket_boundaries_advisory=Instruments.DURATION_BUCKETS,
        )


class OtlpTrace:
    """gateway.telemetry.tracing.Trace"""

    def __init__(self, tracer: Tracer, span: Span, counted: _Counted, calls: Calls, method: str) -> None:
        self._tracer, self._span, self._counted, self._calls, self._method = tracer, span, counted, calls, method
        self._context = set_span_in_context(span)
        self._operation = "chat"
        self._under_way: dict[str, tuple[Span, Opening]] = {}

    @property
    def trace_id(self) -> str | None:
        context = self._span.get_span_context()
        return f"{context.trace_id:032x}" if context.trace_flags.sampled else None

    def asked(self, model: str, operation: str) -> None:
        self._operation = operation
        self._span.set_attributes({Spans.OPERATION: operation, Spans.REQUEST_MODEL: model})

    def opened(self, opening: Opening) -> None:
        told = self._told(opening.model, "chat" if opening.kind == "judge" else self._operation)
        name = f"{told[Spans.OPERATION]} {told[Spans.REQUEST_MODEL]}"
        more = {
            Spans.MODEL: opening.model,
            Spans.ATTEMPT: opening.attempt_id,
            Spans.KIND: opening.kind,
            Spans.CAUSE: opening.cause,
        }
        span = self._tracer.start_span(name, context=self._context, kind=SpanKind.CLIENT, attributes=told | more)
        self._under_way[opening.attempt_id] = span, opening

    def closed(self, attempt: Attempt, nanousd: int | None) -> None:
        span, opening = self._under_way.pop(attempt.id, (None, None))
        if span is None or opening is None:
            return
        if span.is_recording():
            span.set_attributes(_of_attempt(attempt, nanousd))
        told = self._told(attempt.model, "chat" if opening.kind == "judge" else self._operation)
        error = {} if attempt.error is None else {Spans.ERROR: type(attempt.error).__name__}
        if error:
            span.set_status(Status(StatusCode.ERROR))  # without its message, in which an upstream may quote the prompt
        span.set_attributes(error)
        span.end()
        self._counted.seconds.record(attempt.latency_s, told | error)
        if attempt.usage is not None and attempt.reply is not None:
            self._counted.tokens.record(attempt.usage.prompt_tokens, told | {Spans.TOKEN_TYPE: "input"})
            self._counted.tokens.record(attempt.usage.completion_tokens, told | {Spans.TOKEN_TYPE: "output"})

    def decided(self, facts: Facts) -> None:
        self._span.set_attributes({name: value for name, value in facts.items() if value is not None})

    def ended(self, endpoint: str, status: int) -> None:
        self._span.update_name(f"{self._method} {endpoint}")
        self._span.set_attributes({Spans.ROUTE: endpoint, Spans.STATUS: status})
        if status >= 500:
            self._span.set_attribute(Spans.ERROR, str(status))
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()

    def headers_of(self, attempt_id: str) -> Mapping[str, str]:
        carrier: dict[str, str] = {}
        found = self._under_way.get(attempt_id)
        if found is not None:
            _context.inject(carrier, set_span_in_context(found[0]))  # never the client's baggage
        return carrier

    def _told(self, model: str, operation: str) -> dict[str, str]:
        called = self._calls(model)
        return {
            Spans.OPERATION: operation,
            Spans.PROVIDER: called.provider,
            Spans.REQUEST_MODEL: called.upstream_model,
        }


def _of_attempt(attempt: Attempt, nanousd: int | None) -> dict[str, str | int | float | list[str]]:
    reply, usage = attempt.reply, attempt.usage
    said: dict[str, str | int | float | None] = {
        Spans.STATE: attempt.state,
        Spans.SCORE: attempt.score,
        Spans.THRESHOLD: attempt.threshold,
        Spans.FIRST_TOKEN: attempt.first_token_s,
        Spans.COST: None if nanousd is None else nanousd / 1e9,
        Spans.INPUT_TOKENS: None if usage is None else usage.prompt_tokens,
        Spans.OUTPUT_TOKENS: None if usage is None else usage.completion_tokens,
    }
    found: dict[str, str | int | float | list[str]] = {name: one for name, one in said.items() if one is not None}
    if reply is not None:
        choices = reply.body.get("choices")
        reasons = [str(one.get("finish_reason")) for one in choices] if isinstance(choices, list) else []
        found |= {Spans.FINISH_REASONS: reasons} if reasons else {}
        found[Spans.RESPONSE_MODEL] = attempt.model
        identity = reply.body.get("id")
        found |= {Spans.RESPONSE_ID: identity} if isinstance(identity, str) else {}
    return found


def _version() -> str:
    return importlib.metadata.version("spillway")
