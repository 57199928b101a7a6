"""The metrics of the request path, for Prometheus.

Knows how to count. What is counted under which name and labels is in ``gateway/telemetry/names.py``.
"""

import importlib.metadata
from collections.abc import Callable, Iterable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from gateway.telemetry.names import Metrics, Named
from router.outcome import Attempt, Verdict

_MODELS = 100
_OTHER = "other"


class Telemetry:
    """The metrics of one gateway, on a registry of their own.

    models : so many are told apart, those that are called first; the rest are ``other``.
    trace_id : of the request under way, None where it is not traced: what an observation is an example of.
    """

    def __init__(self, *, models: int = _MODELS, trace_id: Callable[[], str | None] = lambda: None) -> None:
        # they double the series; the package leaves this one function without annotations
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._most, self._trace_id = models, trace_id
        self._known: set[str] = set()
        self._requests = self._counter(Metrics.REQUESTS)
        self._request_seconds = self._histogram(Metrics.REQUEST_SECONDS)
        self._in_flight = self._gauge(Metrics.IN_FLIGHT)
        self._decisions = self._counter(Metrics.DECISIONS)
        self._certified = self._counter(Metrics.CERTIFIED)
        self._escalations = self._counter(Metrics.ESCALATIONS)
        self._scores = self._histogram(Metrics.SCORES)
        self._verdicts = self._counter(Metrics.VERDICTS)
        self._abstentions = self._counter(Metrics.ABSTENTIONS)
        self._sticky = self._counter(Metrics.STICKY)
        self._shadows = self._counter(Metrics.SHADOWS)
        self._cache = self._counter(Metrics.CACHE)
        self._waited = self._counter(Metrics.WAITED)
        self._attempts = self._counter(Metrics.ATTEMPTS)
        self._failures = self._counter(Metrics.ERRORS)
        self._attempt_seconds = self._histogram(Metrics.ATTEMPT_SECONDS)
        self._first_token = self._histogram(Metrics.FIRST_TOKEN_SECONDS)
        self._tokens = self._counter(Metrics.TOKENS)
        self._cost = self._counter(Metrics.COST)
        self._unpriced = self._counter(Metrics.UNPRICED)
        self._gauge(Metrics.BUILD).labels(importlib.metadata.version("spillway")).set(1)

    def request_began(self) -> None:
        """A request came in."""
        self._in_flight.inc()

    def request_ended(self, endpoint: str, status: int, seconds: float) -> None:
        """endpoint : the route's own path, never the one that a client made up."""
        self._in_flight.dec()
        self._requests.labels(endpoint, str(status)).inc()
        self._request_seconds.labels(endpoint).observe(seconds, self._example())

    def looked_up(self, policy: str | None, status: str) -> None:
        """The cache was asked, or was not to be asked."""
        self._cache.labels(policy or "", status).inc()

    def waited(self, policy: str | None, *, answered: bool) -> None:
        """A request waited for the answer of another one like it."""
        self._waited.labels(policy or "", "answered" if answered else "asked").inc()

    def decided(self, policy: str | None, tier: int | None, stop_reason: str) -> None:
        """A request's end was decided. tier : 1-based, None if nobody answered."""
        self._decisions.labels(policy or "", _tier(tier), stop_reason).inc()

    def certified(self, policy: str | None, certificate: str) -> None:
        """A request was served by a strategy with a certificate, which holds for it or is void."""
        self._certified.labels(policy or "", certificate.partition(":")[0]).inc()

    def escalated(self, policy: str | None, attempts: Iterable[Attempt]) -> None:
        """These answers were not taken, and another model was asked after each of them."""
        for attempt in attempts:
            self._escalations.labels(policy or "", _reason(attempt)).inc()

    def stuck(self, policy: str | None) -> None:
        """A request began where its conversation had escalated to."""
        self._sticky.labels(policy or "").inc()

    def shadowed(self, policy: str | None, result: str) -> None:
        """A request was drawn to be asked of the reference model too. result : of gateway.shadowing.Result."""
        self._shadows.labels(policy or "", result).inc()

    def abstained(self, policy: str | None, reason: str) -> None:
        """The scorer abstained. reason : of router.outcome.Abstention."""
        self._abstentions.labels(policy or "", reason).inc()

    def verified(self, policy: str | None, verdicts: Sequence[Verdict]) -> None:
        """Verifiers spoke of an answer."""
        for verdict in verdicts:
            self._verdicts.labels(policy or "", verdict.verifier, verdict.verdict).inc()

    def scored(self, policy: str | None, tier: int | None, score: float) -> None:
        """The scorer said how good an answer is."""
        self._scores.labels(policy or "", _tier(tier)).observe(score, self._example())

    def attempted(self, attempt: Attempt, nanousd: int | None, tier: int | None = None) -> None:
        """An upstream call ended. nanousd : its cost, None where its price is not known."""
        model, example = self._bounded(attempt.model), self._example()
        self._attempts.labels(model, attempt.state).inc()
        self._attempt_seconds.labels(model, _tier(tier)).observe(attempt.latency_s, example)
        if attempt.first_token_s is not None:
            self._first_token.labels(model, _tier(tier)).observe(attempt.first_token_s, example)
        if attempt.error is not None:
            self._failures.labels(model, type(attempt.error).__name__).inc()
        if attempt.usage is not None:
            self._tokens.labels(model, "input").inc(attempt.usage.prompt_tokens)
            self._tokens.labels(model, "output").inc(attempt.usage.completion_tokens)
        if nanousd is None:
            self._unpriced.labels(model).inc()
        else:
            self._cost.labels(model).inc(nanousd / 1e9)

    def register(self, collector: Collector) -> None:
        """Add another part's own metrics."""
        self.registry.register(collector)

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """What a scrape gets, and its media type: OpenMetrics, with examples, for those who accept it."""
        encode, media_type = choose_encoder(accept)
        return encode(self.registry), media_type

    def _bounded(self, model: str) -> str:
        if model in self._known:
            return model
        if len(self._known) >= self._most:
            return _OTHER
        self._known.add(model)
        return model

    def _example(self) -> dict[str, str] | None:
        trace_id = self._trace_id()
        return None if trace_id is None else {"trace_id": trace_id}

    def _counter(self, named: Named) -> Counter:
        return Counter(named.name, named.help, named.labels, registry=self.registry)

    def _gauge(self, named: Named) -> Gauge:
        return Gauge(named.name, named.help, named.labels, registry=self.registry)

    def _histogram(self, named: Named) -> Histogram:
        return Histogram(named.name, named.help, named.labels, buckets=named.buckets, registry=self.registry)


def _tier(tier: int | None) -> str:
    return "" if tier is None else str(tier)


def _reason(attempt: Attempt) -> str:
    if attempt.failed_verification:
        return "verifier"
    if attempt.state == "failed":
        return "failed"
    return "unscored" if attempt.score is None else "score"
