"""What the gateway's dashboard tells of requests, of money and of decisions."""

from dashboards.grafana.parts import Chart, Figure, Look, Q
from dashboards.grafana.promql import MINE, SECONDS, SHARE, USD, quantile, rate

_FAILED = f'sum(rate(spillway_requests_total{{{MINE}, status=~"5.."}}[$__rate_interval]))'
_EVERY = f"sum(rate(spillway_requests_total{{{MINE}}}[$__rate_interval]))"
REQUESTS = (
    Figure("Requests a second", "All endpoints.", Q(_EVERY), Look(unit="reqps", width=4)),
    Figure(
        "Server errors",
        "Of all requests.",
        Q(f"({_FAILED} or vector(0)) / {_EVERY}"),
        Look(unit="percentunit", width=4, decimals=2),
    ),
    Figure(
        "Under way",
        "Requests that have not ended.",
        Q(f"sum(spillway_requests_in_flight{{{MINE}}})"),
        Look(width=4),
    ),
    Figure(
        "Waiting",
        "For a place to be served at.",
        Q(f"sum(spillway_requests_waiting{{{MINE}}})"),
        Look(width=4),
    ),
    Figure(
        "USD an hour",
        "Of upstream calls of the last hour.",
        Q(f"sum(increase(spillway_cost_usd_total{{{MINE}}}[1h]))"),
        Look(unit="currencyUSD", width=4),
    ),
    Figure(
        "Unknown prices",
        "Calls of the last day whose cost is null.",
        Q(f"sum(increase(spillway_unpriced_attempts_total{{{MINE}}}[1d]))"),
        Look(width=4, decimals=0),
    ),
    Chart(
        "Requests by status",
        "HTTP status of responses.",
        [Q(rate("spillway_requests_total", "status"), "{{status}}")],
        Look(unit="reqps", stacked=True),
    ),
    Chart(
        "How long requests take",
        "From a request's first byte to its response's last.",
        [Q(quantile(q, "spillway_request_seconds", "job"), f"p{100 * q:g}") for q in (0.5, 0.95, 0.99)],
        SECONDS,
    ),
    Chart(
        "Turned away",
        "By rate limits, hard budgets, and because too many were under way.",
        [
            Q(rate("spillway_rate_limited_total", "job"), "rate limits"),
            Q(rate("spillway_budget_refusals_total", "job"), "budgets"),
            Q(rate("spillway_requests_shed_total", "job"), "too many"),
        ],
        Look(unit="reqps"),
    ),
    Chart(
        "Cache",
        "Requests by what the cache said.",
        [Q(rate("spillway_cache_lookups_total", "status"), "{{status}}")],
        Look(unit="reqps", stacked=True),
    ),
)

_PER_HOUR = f"sum by (model) (rate(spillway_cost_usd_total{{{MINE}}}[$__rate_interval])) * 3600"
_ANSWERED = f'sum(rate(spillway_decisions_total{{{MINE}, tier!=""}}[$__rate_interval]))'
_PER_1K = f"1000 * sum(rate(spillway_cost_usd_total{{{MINE}}}[$__rate_interval])) / {_ANSWERED}"
MONEY = (
    Chart(
        "USD an hour, by model",
        "At the pace of the moment; everything that was called.",
        [Q(_PER_HOUR, "{{model}}")],
        USD,
    ),
    Chart(
        "USD of a thousand answers",
        "All calls over all answered requests.",
        [Q(_PER_1K, "USD")],
        Look(unit="currencyUSD"),
    ),
    Chart(
        "Tokens a second",
        "As upstreams counted them.",
        [Q(rate("spillway_tokens_total", "model, direction"), "{{model}} {{direction}}")],
        Look(stacked=True),
    ),
    Chart(
        "Asked in shadow",
        "Requests drawn to be asked of the reference model too, by result.",
        [Q(rate("spillway_shadow_calls_total", "policy, result"), "{{policy}} {{result}}")],
        Look(unit="reqps"),
    ),
)

_BY_TIER = rate("spillway_decisions_total", "policy, tier", 'tier!=""')
_BY_POLICY = rate("spillway_decisions_total", "policy", 'tier!=""')
DECISIONS = (
    Chart(
        "Who answers",
        "Share of answered requests by tier.",
        [Q(f"{_BY_TIER} / on (policy) group_left () {_BY_POLICY}", "{{policy}} tier {{tier}}")],
        SHARE,
    ),
    Chart(
        "Why requests escalate",
        "Answers that were not taken, by reason.",
        [Q(rate("spillway_escalations_total", "policy, reason"), "{{policy}} {{reason}}")],
        Look(unit="reqps", stacked=True),
    ),
    Chart(
        "Scores",
        "What the scorer said of answers: its median and the lower tenth, by tier.",
        [
            Q(
                quantile(q, "spillway_score_ratio", "policy, tier"),
                f"{{{{policy}}}} tier {{{{tier}}}} p{100 * q:g}",
            )
            for q in (0.1, 0.5)
        ],
        SHARE,
    ),
    Chart(
        "Not scored",
        "Requests that no score could be given for, by reason.",
        [Q(rate("spillway_abstentions_total", "policy, reason"), "{{policy}} {{reason}}")],
        Look(unit="reqps"),
    ),
    Chart(
        "How requests end",
        "By stop reason.",
        [Q(rate("spillway_decisions_total", "stop_reason"), "{{stop_reason}}")],
        Look(unit="reqps", stacked=True),
    ),
    Chart(
        "Verifiers and certificates",
        "What verifiers said, and whether certificates held.",
        [
            Q(rate("spillway_verdicts_total", "verifier, verdict"), "{{verifier}} {{verdict}}"),
            Q(rate("spillway_certified_requests_total", "policy, state"), "{{policy}} certificate {{state}}"),
            Q(rate("spillway_sticky_total", "policy"), "{{policy}} began higher"),
        ],
        Look(unit="reqps"),
    ),
)
