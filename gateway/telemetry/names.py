"""Every name under which the request path is measured, for Prometheus and for OpenTelemetry.

Knows names, units, labels and buckets. All labels are bounded by the configuration: no key, user or tenant is one.
"""

from dataclasses import dataclass
from typing import Final

_SECONDS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640)
_SHARES = tuple(n / 20 for n in range(1, 21))


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """One metric. name : without the ``_total`` that a counter is given.   buckets : of a histogram."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


def _timed(name: str, said: str, *labels: str) -> Named:
    return Named(name=name, help=said, labels=labels, buckets=_SECONDS)


def _counted(name: str, said: str, *labels: str) -> Named:
    return Named(name=name, help=said, labels=labels)


class Metrics:
    """What Prometheus reads of the request path."""

    REQUESTS = _counted("spillway_requests", "Requests by endpoint and HTTP status", "endpoint", "status")
    REQUEST_SECONDS = _timed(
        "spillway_request_seconds", "From the first byte of a request to the last of its response", "endpoint"
    )
    IN_FLIGHT = _counted("spillway_requests_in_flight", "Requests under way")
    DECISIONS = _counted(
        "spillway_decisions", "Answered and failed requests by how they were decided", "policy", "tier", "stop_reason"
    )
    CERTIFIED = _counted(
        "spillway_certified_requests", "Requests whose strategy has a certificate, by its state", "policy", "state"
    )
    ESCALATIONS = _counted(
        "spillway_escalations", "Answers that were not taken, so that a further model was asked", "policy", "reason"
    )
    SCORES = Named(
        name="spillway_score_ratio",
        help="P(good) that the scorer gave to answers",
        labels=("policy", "tier"),
        buckets=_SHARES,
    )
    VERDICTS = _counted("spillway_verdicts", "What verifiers said of answers", "policy", "verifier", "verdict")
    ABSTENTIONS = _counted(
        "spillway_abstentions", "Requests that no score could be given for, by reason", "policy", "reason"
    )
    SHADOWS = _counted(
        "spillway_shadow_calls", "Requests drawn to be asked of the reference model too, by result", "policy", "result"
    )
    STICKY = _counted(
        "spillway_sticky", "Requests that began at a higher tier, their conversation having escalated", "policy"
    )
    CACHE = _counted("spillway_cache_lookups", "Requests by cache status", "policy", "status")
    WAITED = _counted(
        "spillway_cache_waits",
        "Requests that waited for the answer of one like them under way: answered by it, or asked upstream themselves",
        "policy",
        "result",
    )
    ATTEMPTS = _counted("spillway_attempts", "Upstream calls by how they ended", "model", "state")
    ERRORS = _counted("spillway_upstream_errors", "Failed upstream calls by error", "model", "error")
    ATTEMPT_SECONDS = _timed("spillway_attempt_seconds", "Duration of an upstream call", "model", "tier")
    FIRST_TOKEN_SECONDS = _timed("spillway_first_token_seconds", "Until an upstream's first token", "model", "tier")
    TOKENS = _counted("spillway_tokens", "Tokens as upstreams counted them", "model", "direction")
    COST = _counted("spillway_cost_usd", "What upstream calls cost", "model")
    UNPRICED = _counted("spillway_unpriced_attempts", "Upstream calls whose price is not known", "model")
    BUILD = _counted("spillway_build_info", "1, with the version that runs", "version")


class Spans:
    """Attributes of spans: the conventions for generative AI, HTTP and errors, and what only Spillway has."""

    OPERATION: Final = "gen_ai.operation.name"
    PROVIDER: Final = "gen_ai.provider.name"
    REQUEST_MODEL: Final = "gen_ai.request.model"
    RESPONSE_MODEL: Final = "gen_ai.response.model"
    RESPONSE_ID: Final = "gen_ai.response.id"
    FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
    INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
    OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
    TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105 (of counts)
    ERROR: Final = "error.type"
    METHOD: Final = "http.request.method"
    ROUTE: Final = "http.route"
    STATUS: Final = "http.response.status_code"
    DECISION: Final = "spillway.decision.id"
    POLICY: Final = "spillway.policy"
    TIER: Final = "spillway.tier"
    SCORE: Final = "spillway.score"
    THRESHOLD: Final = "spillway.threshold"
    STOP_REASON: Final = "spillway.stop_reason"
    CACHE: Final = "spillway.cache.status"
    COST: Final = "spillway.cost_usd"
    ATTEMPT: Final = "spillway.attempt.id"
    STATE: Final = "spillway.attempt.state"
    CAUSE: Final = "spillway.attempt.cause"
    KIND: Final = "spillway.attempt.kind"
    MODEL: Final = "spillway.model"
    FIRST_TOKEN: Final = "spillway.first_token_s"  # noqa: S105 (of counts)


class Instruments:
    """What is told over OTLP of each call, by the conventions for generative AI."""

    TOKENS: Final = "gen_ai.client.token.usage"
    TOKEN_BUCKETS = tuple(4**n for n in range(14))
    DURATION: Final = "gen_ai.client.operation.duration"
    DURATION_BUCKETS = tuple(0.01 * 2**n for n in range(14))
