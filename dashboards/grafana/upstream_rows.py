"""What the gateway's dashboard tells of models, of the ledger and of processes."""

from dashboards.grafana.parts import Chart, Look, Q
from dashboards.grafana.promql import MINE, SECONDS, SHARE, WHOLE, now, quantile, rate

UPSTREAMS = (
    Chart(
        "How long calls take, p95",
        "By model and tier.",
        [Q(quantile(0.95, "spillway_attempt_seconds", "model, tier"), "{{model}} {{tier}}")],
        SECONDS,
    ),
    Chart(
        "Until the first token, p95",
        "Of calls that were streamed.",
        [Q(quantile(0.95, "spillway_first_token_seconds", "model, tier"), "{{model}} {{tier}}")],
        SECONDS,
    ),
    Chart(
        "Calls by how they ended",
        "Accepted, rejected, failed, cancelled.",
        [Q(rate("spillway_attempts_total", "model, state"), "{{model}} {{state}}")],
        Look(unit="reqps", stacked=True),
    ),
    Chart(
        "Failures",
        "By model and error.",
        [Q(rate("spillway_upstream_errors_total", "model, error"), "{{model}} {{error}}")],
        Look(unit="reqps"),
    ),
    Chart(
        "Breakers",
        "0 closed, 1 half open, 2 open.",
        [Q(now("spillway_breaker_state", "model, deployment", "max"), "{{model}} {{deployment}}")],
        Look(most=2.0, decimals=0),
    ),
    Chart(
        "Calls under way and waiting",
        "In each deployment, and in the queue of each model.",
        [
            Q(now("spillway_calls_in_flight", "model, deployment"), "{{model}} {{deployment}}"),
            Q(now("spillway_calls_waiting", "model"), "{{model}} waiting"),
        ],
        WHOLE,
    ),
    Chart(
        "Engines",
        "Requests in self-hosted engines by their own account.",
        [
            Q(
                now("spillway_engine_requests_running", "model, deployment", "max"),
                "{{model}} {{deployment}} running",
            ),
            Q(
                now("spillway_engine_requests_waiting", "model, deployment", "max"),
                "{{model}} {{deployment}} waiting",
            ),
            Q(rate("spillway_tier_passed_by_total", "model"), "{{model}} passed by, a second"),
        ],
    ),
    Chart(
        "Engines' memory",
        "In use for keys and values.",
        [Q(now("spillway_engine_kv_use_ratio", "model, deployment", "max"), "{{model}} {{deployment}}")],
        SHARE,
    ),
)

_ALARMS = ("unknown_prices", "over_reservation", "orphans", "unwritable", "refused", "left_behind", "retries")
LEDGER = (
    Chart(
        "Alarms",
        "Of the last hour; each is a thing to look at.",
        [Q(f"sum(increase(spillway_ledger_{name}_total{{{MINE}}}[1h]))", name.replace("_", " ")) for name in _ALARMS],
        WHOLE,
    ),
    Chart(
        "Commits and calls",
        "Group commits a second, and the calls in them.",
        [Q(rate(f"spillway_ledger_{name}_total", "job"), name) for name in ("commits", "opened", "settled", "spooled")],
        Look(unit="ops"),
    ),
    Chart(
        "Not yet in the database",
        "Held in memory, and in the spool.",
        [
            Q(now("spillway_ledger_unsettled", "job"), "rows in memory"),
            Q(now("spillway_ledger_spooled_bytes", "job"), "bytes in the spool"),
        ],
    ),
    Chart(
        "Budgets and transcripts",
        "Of the last hour.",
        [
            Q(f"sum(increase(spillway_budget_overruns_total{{{MINE}}}[1h]))", "settled above a bound"),
            Q(f"sum(increase(spillway_budget_alerts_total{{{MINE}}}[1h]))", "thresholds reached"),
            Q(f"sum(increase(spillway_transcripts_lost_total{{{MINE}}}[1h]))", "transcripts lost"),
        ],
        WHOLE,
    ),
)

PROCESSES = (
    Chart(
        "Tasks and open files",
        "Rise with the load, and fall again.",
        [
            Q(now("spillway_tasks", "instance"), "{{instance}} tasks"),
            Q(now("spillway_open_files", "instance"), "{{instance}} files"),
        ],
        WHOLE,
    ),
    Chart(
        "Blocks of memory that Python holds",
        "Rises with a leak.",
        [Q(now("spillway_allocated_blocks", "instance"), "{{instance}}")],
    ),
    Chart(
        "Shared state",
        "1 where Redis is away; requests whose rates were not shared; reloads by result.",
        [
            Q(now("spillway_rates_redis_away", "instance"), "{{instance}} Redis away"),
            Q(rate("spillway_rates_unshared_total", "instance"), "{{instance}} unshared, a second"),
            Q(
                f"sum by (result) (increase(spillway_config_reloads_total{{{MINE}}}[1h]))",
                "reloads {{result}}, an hour",
            ),
        ],
    ),
    Chart(
        "Versions",
        "Processes by the version that runs.",
        [Q(f"count by (version) (spillway_build_info{{{MINE}}})", "{{version}}")],
        WHOLE,
    ),
)
