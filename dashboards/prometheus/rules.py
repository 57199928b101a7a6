"""What Prometheus records of the gateway, and when it alarms: the one source of the rules here and in the chart.

Knows metrics by their names. ``{mine}`` stands for the labels by which one release is told from others.
"""

from dataclasses import dataclass
from typing import Any

_BY = "namespace, job"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A series that panels and alerts read in place of its expression."""

    name: str
    expr: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """held : for how long it must be true.   page : whether somebody should be woken.   what, do : for who is."""

    name: str
    expr: str
    what: str
    do: str
    held: str | None = None
    page: bool = False


RECORDED = (
    Recorded(
        name="spillway:requests:rate5m",
        expr=f"sum by ({_BY}, status) (rate(spillway_requests_total{{mine}}[5m]))",
    ),
    Recorded(
        name="spillway:request_seconds:p95_5m",
        expr=(
            "histogram_quantile(0.95, "
            f"sum by ({_BY}, endpoint, le) (rate(spillway_request_seconds_bucket{{mine}}[5m])))"
        ),
    ),
    Recorded(
        name="spillway:cost_usd:rate1h",
        expr=f"sum by ({_BY}, model) (rate(spillway_cost_usd_total{{mine}}[1h])) * 3600",
    ),
    Recorded(
        name="spillway:accepted:ratio1h",
        expr=(
            f'sum by ({_BY}, policy) (rate(spillway_decisions_total{{mine|tier="1"}}[1h]))'
            f' / sum by ({_BY}, policy) (rate(spillway_decisions_total{{mine|tier!=""}}[1h]))'
        ),
    ),
    Recorded(
        name="spillway:upstream_failures:ratio5m",
        expr=(
            f'sum by ({_BY}, model) (rate(spillway_attempts_total{{mine|state="failed"}}[5m]))'
            f" / sum by ({_BY}, model) (rate(spillway_attempts_total{{mine}}[5m]))"
        ),
    ),
)

ALERTS = (
    Alert(
        name="SpillwayUnpricedAttempts",
        expr="increase(spillway_unpriced_attempts_total{mine}[1h]) > 0",
        what="Calls of {{ $labels.model }} were made whose price is unknown; the ledger says null, not zero",
        do="Give the model a price, then `spillway prices reprice --from DAY`",
    ),
    Alert(
        name="SpillwayBudgetOverrun",
        expr="increase(spillway_budget_overruns_total{mine}[1h]) > 0",
        what="A provider charged more than the proven upper bound of a call",
        do="Compare the decision's lines with the provider's bill: a price or an output limit is wrong",
        page=True,
    ),
    Alert(
        name="SpillwayDatabaseAway",
        expr="max by (namespace, job) (spillway_ledger_spooled_bytes{mine}) > 0",
        held="2m",
        what="The ledger is written to the local spool, for the database does not take it",
        do="Bring the database back; the spool drains by itself. At spool_max_bytes requests are refused",
        page=True,
    ),
    Alert(
        name="SpillwayLedgerRefuses",
        expr="increase(spillway_ledger_refused_total{mine}[5m]) > 0",
        held="2m",
        what="Requests are turned away because what they spend cannot be written down",
        do="Look at the database: it is away, hangs, or is too slow for the load",
        page=True,
    ),
    Alert(
        name="SpillwayLedgerRowsUnwritable",
        expr=(
            "increase(spillway_ledger_unwritable_total{mine}[1h])"
            " + increase(spillway_ledger_left_behind_total{mine}[1h]) > 0"
        ),
        what="Rows of the ledger could not be written; the sweeper settles their attempts at an estimate",
        do="Read the log of that time; `spillway ledger verify` and `spillway reconcile` tell what differs",
    ),
    Alert(
        name="SpillwayScorerAbstains",
        expr=(
            "sum by (namespace, job) (rate(spillway_abstentions_total{mine}[15m]))"
            " > 0.5 * sum by (namespace, job) (rate(spillway_decisions_total{mine}[15m]))"
        ),
        held="15m",
        what="Most queries are unlike the training log or could not be scored; the safe model answers them",
        do="Train on newer logs, or look why the scorer fails (`spillway_abstentions_total` by reason)",
    ),
    Alert(
        name="SpillwayServerErrors",
        expr=(
            'sum by (namespace, job) (rate(spillway_requests_total{mine|status=~"5.."}[5m]))'
            " > 0.05 * sum by (namespace, job) (rate(spillway_requests_total{mine}[5m]))"
        ),
        held="5m",
        what="More than one request in twenty ends with a server error",
        do="See which upstream fails (`spillway_upstream_errors_total`) and whether its breaker is open",
        page=True,
    ),
    Alert(
        name="SpillwayUpstreamLeftAlone",
        expr="min by (namespace, job, model) (spillway_breaker_state{mine}) == 2",
        held="5m",
        what="Every deployment of {{ $labels.model }} is left alone after it failed",
        do="Look at the provider's status; fallbacks and later tiers answer meanwhile, at their price",
    ),
    Alert(
        name="SpillwayConfigRefused",
        expr='increase(spillway_config_reloads_total{mine|result="refused"}[15m]) > 0',
        what="A changed configuration was refused; what served before goes on serving",
        do="`spillway check-config` says which field is wrong",
    ),
    Alert(
        name="SpillwayRatesNotShared",
        expr="max by (namespace, job) (spillway_rates_redis_away{mine}) == 1",
        held="5m",
        what="Redis does not answer: each process counts rates for itself, or limits refuse",
        do="Bring Redis back",
    ),
    Alert(
        name="SpillwayReplicasDisagree",
        expr="max by (namespace, job) (spillway_replica_configs{mine}) > 1",
        held="10m",
        what="Replicas serve different configurations, strategies or scorers",
        do="`GET /admin/config` names them; `POST /admin/reload?everywhere=true`, or see why their files differ",
    ),
)


def groups(mine: str) -> list[dict[str, Any]]:
    """As a rule file has them. mine : label matchers, with commas between them; empty: every gateway's series."""
    return [
        {
            "name": "spillway.recorded",
            "rules": [{"record": rule.name, "expr": narrowed(rule.expr, mine)} for rule in RECORDED],
        },
        {"name": "spillway.alerts", "rules": [_alert(rule, mine) for rule in ALERTS]},
    ]


def narrowed(expr: str, mine: str) -> str:
    """An expression whose ``{mine}`` and ``{mine|other}`` are matchers."""
    parts = expr.split("{mine")
    told = [parts[0]]
    for part in parts[1:]:
        more, _, rest = part.partition("}")
        matchers = ", ".join(filter(None, (mine, more.removeprefix("|"))))
        told.append(f"{{{matchers}}}{rest}" if matchers else rest)
    return "".join(told)


def _alert(rule: Alert, mine: str) -> dict[str, Any]:
    held = {} if rule.held is None else {"for": rule.held}
    return {
        "alert": rule.name,
        "expr": narrowed(rule.expr, mine),
        **held,
        "labels": {"severity": "critical" if rule.page else "warning"},
        "annotations": {"summary": rule.what, "description": rule.do},
    }
