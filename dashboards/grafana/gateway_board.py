"""The dashboard over Prometheus: what happens now, and whether somebody has to do something about it."""

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.builders.dashboard import Row
from grafana_foundation_sdk.models import dashboard as models

from dashboards.grafana.parts import METRICS, Figure, board, figure, lines
from dashboards.grafana.request_rows import DECISIONS, MONEY, REQUESTS
from dashboards.grafana.upstream_rows import LEDGER, PROCESSES, UPSTREAMS

_ROWS = (
    ("Requests", REQUESTS),
    ("Money", MONEY),
    ("Decisions", DECISIONS),
    ("Upstreams", UPSTREAMS),
    ("Ledger", LEDGER),
    ("Processes", PROCESSES),
)


def gateway_board() -> dashboard.Dashboard:
    """All rows, for the jobs that are chosen."""
    said = "Requests, money and decisions as they happen."
    made = board("spillway-gateway", "Spillway: gateway", said, since="now-6h", refresh="30s")
    made = made.with_variable(dashboard.DatasourceVariable("metrics").label("Prometheus").type("prometheus"))
    jobs = dashboard.QueryVariable("job").label("Job").datasource(METRICS).multi(True).include_all(True)
    jobs = jobs.query("label_values(spillway_build_info, job)").refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
    made = made.with_variable(jobs.current(models.VariableOption(text="All", value="$__all")))
    for title, charts in _ROWS:
        made = made.with_row(Row(title))
        for chart in charts:
            made = made.with_panel(figure(chart) if isinstance(chart, Figure) else lines(chart))
    return made
