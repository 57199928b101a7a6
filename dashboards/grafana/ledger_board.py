"""The dashboard over PostgreSQL: money to the nano-dollar, from the ledger's sums by the hour.

An hour stands in the sums a minute after it is over (``ledger.rollup_every_s``); what came since is not shown here.
"""

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.builders.dashboard import Row
from grafana_foundation_sdk.models import dashboard as models

from dashboards.grafana.parts import LEDGER, Look, board, sql_bars, sql_figure, sql_table

_WITHIN = "hour_us >= $__unixEpochFrom()::bigint * 1000000 AND hour_us < $__unixEpochTo()::bigint * 1000000"
_PARTS = {
    "HERE": f"tag_name = '' AND {_WITHIN} AND tenant_id IN ($org)",
    "WITHIN": _WITHIN,
    "DAY": "(hour_us - hour_us % 86400000000) / 1000000",
}
_USD = Look(unit="currencyUSD", stacked=True, bars=True)

SPENT = "SELECT coalesce(sum(spent_nanousd), 0) / 1e9 AS spent FROM attempt_rollups WHERE <HERE>"
SAVED = """SELECT (coalesce(sum(reference_nanousd - compared_nanousd), 0)
  - coalesce(sum(spent_nanousd - unknown_nanousd - compared_nanousd)
      FILTER (WHERE reference_model IS NOT NULL AND status IN ('failed', 'cancelled', 'lost')), 0)) / 1e9 AS saved
FROM request_rollups WHERE <HERE>"""
REQUESTS = "SELECT coalesce(sum(requests), 0) AS requests FROM request_rollups WHERE <HERE>"
CACHED = """SELECT coalesce(sum(requests) FILTER (WHERE status = 'cached'), 0) AS cached
FROM request_rollups WHERE <HERE>"""
UNKNOWN = "SELECT coalesce(sum(unpriced + unmeasured), 0) AS unknown FROM attempt_rollups WHERE <HERE>"
UNTIL = "SELECT rolled_until_us / 1000 AS until FROM rollup_state"
BY_MODEL = """SELECT <DAY> AS time, model AS metric, sum(spent_nanousd) / 1e9 AS value
FROM attempt_rollups WHERE <HERE> GROUP BY 1, 2 ORDER BY 1"""
AGAINST = """SELECT <DAY> AS time, 'spent' AS metric, sum(compared_nanousd) / 1e9 AS value
FROM request_rollups WHERE <HERE> GROUP BY 1
UNION ALL SELECT <DAY>, 'had the reference answered', sum(reference_nanousd) / 1e9
FROM request_rollups WHERE <HERE> GROUP BY 1 ORDER BY 1"""
BY_KIND = """SELECT <DAY> AS time,
  CASE WHEN kind = 'answer' THEN coalesce(state, 'under way') ELSE kind END AS metric,
  sum(spent_nanousd) / 1e9 AS value
FROM attempt_rollups WHERE <HERE> GROUP BY 1, 2 ORDER BY 1"""
ACCEPTED = """SELECT <DAY> AS time, policy || ' tier ' || (stage + 1) AS metric,
  coalesce(sum(attempts) FILTER (WHERE state = 'accepted'), 0)::float8 / sum(attempts) AS value
FROM attempt_rollups
WHERE <HERE> AND kind = 'answer' AND policy IS NOT NULL AND state IN ('accepted', 'rejected')
GROUP BY 1, 2 ORDER BY 1"""
BY_TEAM = """SELECT coalesce(teams.name, sums.team_id, '(no team)') AS team, sums.calls, sums.usd
FROM (SELECT team_id, sum(attempts) AS calls, sum(spent_nanousd) / 1e9 AS usd
      FROM attempt_rollups WHERE <HERE> GROUP BY 1) AS sums
LEFT JOIN teams ON teams.team_id = sums.team_id ORDER BY 3 DESC LIMIT 50"""
BY_KEY = """SELECT coalesce(virtual_keys.name, sums.key_id, '(none)') AS key, sums.calls, sums.usd
FROM (SELECT key_id, sum(attempts) AS calls, sum(spent_nanousd) / 1e9 AS usd
      FROM attempt_rollups WHERE <HERE> GROUP BY 1) AS sums
LEFT JOIN virtual_keys ON virtual_keys.key_id = sums.key_id ORDER BY 3 DESC LIMIT 50"""
BY_TAG = """SELECT tag_value AS value, sum(attempts) AS calls, sum(spent_nanousd) / 1e9 AS usd
FROM attempt_rollups WHERE tag_name = '$tag' AND <WITHIN> AND tenant_id IN ($org)
GROUP BY 1 ORDER BY 3 DESC LIMIT 50"""
BY_PROVIDER = """SELECT coalesce(provider, '(unknown)') AS provider, sum(attempts) AS calls,
  sum(prompt_tokens) AS input, sum(completion_tokens) AS output, sum(spent_nanousd) / 1e9 AS usd,
  sum(estimated_nanousd) / 1e9 AS estimated
FROM attempt_rollups WHERE <HERE> GROUP BY 1 ORDER BY 5 DESC"""
BUDGETS = """SELECT b.level || ' ' || b.scope_id AS budget, b.period,
  CASE WHEN b.hard THEN 'hard' ELSE 'soft' END AS kind,
  b.amount_nanousd / 1e9 AS usd, w.settled_nanousd / 1e9 AS spent, w.reserved_nanousd / 1e9 AS reserved,
  (w.settled_nanousd + w.reserved_nanousd)::float8 / nullif(b.amount_nanousd, 0) AS used
FROM budgets b JOIN budget_windows w ON w.budget_id = b.budget_id
WHERE b.removed_us IS NULL AND w.starts_us < $__unixEpochTo()::bigint * 1000000
  AND (w.ends_us IS NULL OR w.ends_us > $__unixEpochTo()::bigint * 1000000)
ORDER BY used DESC NULLS LAST"""
LABELS = """SELECT (created_us - created_us % 86400000000) / 1000000 AS time,
  coalesce(policy, 'plain models') AS metric, avg(label) AS value
FROM reviews JOIN requests ON requests.decision_id = reviews.decision_id
WHERE created_us >= $__unixEpochFrom()::bigint * 1000000 AND created_us < $__unixEpochTo()::bigint * 1000000
  AND requests.tenant_id IN ($org) GROUP BY 1, 2 ORDER BY 1"""
ORGS = "SELECT org_id FROM organisations UNION SELECT DISTINCT tenant_id FROM attempt_days ORDER BY 1"
TAGS = "SELECT DISTINCT tag_name FROM attempt_days WHERE tag_name <> '' ORDER BY 1"


def whole(sql: str) -> str:
    """A statement with its parts in place: what Grafana sends, but for its own macros and variables."""
    for name, part in _PARTS.items():
        sql = sql.replace(f"<{name}>", part)
    return sql


def ledger_board() -> dashboard.Dashboard:
    """Its rows: the period in figures, over time, by whose it is, budgets and quality."""
    said = "What was spent and saved, from the ledger in PostgreSQL."
    made = board("spillway-ledger", "Spillway: money", said, since="now-30d", refresh="5m")
    kind = "grafana-postgresql-datasource"
    made = made.with_variable(dashboard.DatasourceVariable("ledger").label("PostgreSQL").type(kind))
    orgs = dashboard.QueryVariable("org").label("Organisation").datasource(LEDGER).query(ORGS)
    orgs = orgs.multi(True).include_all(True).current(models.VariableOption(text="All", value="$__all"))
    made = made.with_variable(orgs)
    made = made.with_variable(dashboard.QueryVariable("tag").label("Tag").datasource(LEDGER).query(TAGS))
    for row in (_period, _by_day, _whose, _budgets):
        made = row(made)
    return made


def _period(made: dashboard.Dashboard) -> dashboard.Dashboard:
    usd, count = Look(unit="currencyUSD", width=4), Look(width=4, decimals=0)
    net = "What the reference model would have cost, less everything spent; negative where it would have cost less."
    figures = (
        ("Spent", "All calls, those for the gateway's own purposes too.", SPENT, usd),
        ("Saved, net", net, SAVED, usd),
        ("Requests", "That came.", REQUESTS, count),
        ("From the cache", "Requests that no model was asked for.", CACHED, count),
        ("Unknown cost", "Calls without a price or a count: in no amount here.", UNKNOWN, count),
        ("Summed up until", "Later hours are not in here yet.", UNTIL, Look(unit="dateTimeAsIso", width=4)),
    )
    made = made.with_row(Row("The period"))
    for title, said, sql, look in figures:
        made = made.with_panel(sql_figure(title, said, whole(sql), look))
    return made


def _by_day(made: dashboard.Dashboard) -> dashboard.Dashboard:
    why = "Answers by what became of them, and calls for the gateway's own purposes."
    beside, share = Look(unit="currencyUSD", bars=True), Look(unit="percentunit", most=1.0)
    charts = (
        ("Spent, by model", "UTC days.", BY_MODEL, _USD),
        ("Against the reference", "Requests whose both costs are known.", AGAINST, beside),
        ("What it was spent for", why, BY_KIND, _USD),
        ("Accepted", "Of the answers that were judged, by policy and tier.", ACCEPTED, share),
    )
    made = made.with_row(Row("By day"))
    for title, said, sql, look in charts:
        made = made.with_panel(sql_bars(title, said, whole(sql), look))
    return made


def _whose(made: dashboard.Dashboard) -> dashboard.Dashboard:
    usd = {"usd": "currencyUSD"}
    tables = (
        ("Teams", "The fifty that spent most.", BY_TEAM, usd),
        ("Keys", "The fifty that spent most.", BY_KEY, usd),
        ("Tag", "Values of the tag that is chosen above.", BY_TAG, usd),
        ("Providers", "As their bills should say.", BY_PROVIDER, usd | {"estimated": "currencyUSD"}),
    )
    made = made.with_row(Row("Whose it is"))
    for title, said, sql, units in tables:
        made = made.with_panel(sql_table(title, said, whole(sql), units))
    return made


def _budgets(made: dashboard.Dashboard) -> dashboard.Dashboard:
    units = dict.fromkeys(("usd", "spent", "reserved"), "currencyUSD") | {"used": "percentunit"}
    labels = "Labels that people gave, by the day of the request and by policy."
    return (
        made.with_row(Row("Budgets and quality"))
        .with_panel(sql_table("Budgets", "How they stood at the end of the period.", whole(BUDGETS), units))
        .with_panel(sql_bars("Quality", labels, whole(LABELS), Look(unit="percentunit", most=1.0)))
    )
