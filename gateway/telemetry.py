"""What can be measured from outside: Prometheus metrics and structured access logs.

Knows metric names and labels, all of them bounded by the configuration: no key, no user, no text of a prompt or answer
is ever a label or a log field.
"""

import logging
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.registry import Collector

from gateway.json_bytes import encode
from router.outcome import Attempt, Verdict

_SECONDS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640)

access = logging.getLogger("spillway.access")


class Telemetry:
    """The metrics of one gateway, on a registry of their own."""

    def __init__(self) -> None:
        # they double the series; the package leaves this one function without annotations
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        labels = ("endpoint", "status")
        self._requests = self._counter("spillway_requests", "Requests by endpoint and HTTP status", *labels)
        self._request_seconds = self._histogram(
            "spillway_request_seconds", "From the first byte of a request to the last of its response", "endpoint"
        )
        self._in_flight = Gauge("spillway_requests_in_flight", "Requests under way", registry=self.registry)
        self._decisions = self._counter(
            "spillway_decisions",
            "Answered and failed requests by how they were decided",
            "policy",
            "tier",
            "stop_reason",
        )
        self._verdicts = self._counter(
            "spillway_verdicts", "What verifiers said of answers", "policy", "verifier", "verdict"
        )
        self._abstentions = self._counter(
            "spillway_abstentions", "Requests that no score could be given for, by reason", "policy", "reason"
        )
        self._sticky = self._counter(
            "spillway_sticky", "Requests that began at a higher tier, their conversation having escalated", "policy"
        )
        self._cache = self._counter("spillway_cache_lookups", "Requests by cache status", "policy", "status")
        self._attempts = self._counter("spillway_attempts", "Upstream calls by how they ended", "model", "state")
        self._failures = self._counter("spillway_upstream_errors", "Failed upstream calls by error", "model", "error")
        self._attempt_seconds = self._histogram("spillway_attempt_seconds", "Duration of an upstream call", "model")
        self._first_token = self._histogram("spillway_first_token_seconds", "Until an upstream's first token", "model")
        self._tokens = self._counter("spillway_tokens", "Tokens as upstreams counted them", "model", "direction")
        self._cost = self._counter("spillway_cost_usd", "What upstream calls cost", "model")
        self._unpriced = self._counter("spillway_unpriced_attempts", "Upstream calls whose price is not known", "model")

    def request_began(self) -> None:
        """A request came in."""
        self._in_flight.inc()

    def request_ended(self, endpoint: str, status: int, seconds: float) -> None:
        """endpoint : the route's own path, never the one that a client made up."""
        self._in_flight.dec()
        self._requests.labels(endpoint, str(status)).inc()
        self._request_seconds.labels(endpoint).observe(seconds)

    def looked_up(self, policy: str | None, status: str) -> None:
        """The cache was asked, or was not to be asked."""
        self._cache.labels(policy or "", status).inc()

    def decided(self, policy: str | None, tier: int | None, stop_reason: str) -> None:
        """A request's end was decided. tier : 1-based, None if nobody answered."""
        self._decisions.labels(policy or "", "" if tier is None else str(tier), stop_reason).inc()

    def stuck(self, policy: str | None) -> None:
        """A request began where its conversation had escalated to."""
        self._sticky.labels(policy or "").inc()

    def abstained(self, policy: str | None, reason: str) -> None:
        """The scorer abstained. reason : of router.outcome.Abstention."""
        self._abstentions.labels(policy or "", reason).inc()

    def verified(self, policy: str | None, verdicts: Sequence[Verdict]) -> None:
        """Verifiers spoke of an answer."""
        for verdict in verdicts:
            self._verdicts.labels(policy or "", verdict.verifier, verdict.verdict).inc()

    def attempted(self, attempt: Attempt, nanousd: int | None) -> None:
        """An upstream call ended. nanousd : its cost, None where its price is not known."""
        self._attempts.labels(attempt.model, attempt.state).inc()
        self._attempt_seconds.labels(attempt.model).observe(attempt.latency_s)
        if attempt.first_token_s is not None:
            self._first_token.labels(attempt.model).observe(attempt.first_token_s)
        if attempt.error is not None:
            self._failures.labels(attempt.model, type(attempt.error).__name__).inc()
        if attempt.usage is not None:
            self._tokens.labels(attempt.model, "input").inc(attempt.usage.prompt_tokens)
            self._tokens.labels(attempt.model, "output").inc(attempt.usage.completion_tokens)
        if nanousd is None:
            self._unpriced.labels(attempt.model).inc()
        else:
            self._cost.labels(attempt.model).inc(nanousd / 1e9)

    def register(self, collector: Collector) -> None:
        """Add another part's own metrics."""
        self.registry.register(collector)

    def render(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self.registry)

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(name, help_text, labels, registry=self.registry)

    def _histogram(self, name: str, help_text: str, *labels: str) -> Histogram:
        return Histogram(name, help_text, labels, buckets=_SECONDS, registry=self.registry)


# JSON lets these stand as they are; to viewers they end a line, and to some terminals they begin a command
_ESCAPED = {code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), 0x2028, 0x2029)}


class JsonLines(logging.Formatter):
    """One JSON object a line, so that nothing that a client sends can begin a line of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """The record, with the fields that were given as ``extra={"fields": {...}}``."""
        fields: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields |= getattr(record, "fields", {})
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return encode(fields).decode().translate(_ESCAPED)


def log_to_stderr(level: int = logging.INFO) -> None:
    """Send every log of this process, the server's own included, to stderr as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in ("alembic", "LiteLLM", "litellm", "httpx", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._began = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Elapsed so far."""
        return time.perf_counter() - self._began
