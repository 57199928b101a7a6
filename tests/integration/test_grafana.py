"""What is committed for Grafana and Prometheus is what its source makes, speaks of what there is, and runs.

promtool is Prometheus' own checker (Debian: apt install prometheus). Without it those tests are skipped, or fail where
SPILLWAY_REQUIRE_SERVICES=1.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import promql_parser
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from dashboards.generate import made
from dashboards.prometheus.rules import ALERTS, RECORDED, narrowed
from gateway.database import Database
from gateway.doorway import Doorway
from gateway.ledger.reports import Reports, Span
from gateway.ledger.rollups.fold import Rollups
from gateway.ledger.savings import read_savings
from gateway.runtime_metrics import RuntimeMetrics
from gateway.telemetry.names import Metrics, Named
from tests.dashboard_seed import NOW
from tests.databases import fresh_database
from tests.furnished import furnish, label
from tests.gateway_server import models, serving
from tests.upstream import BadUpstream, answer, status

FOLDER = Path(__file__).resolve().parents[2] / "dashboards"
CASCADE = (
    "policies: [{name: default, safe_model: large, strategy: strategy.json, scorer: scorer, "
    "shadow: {share: 1, usd_per_day: 1}, verifiers: [{name: nothing, kind: regex, pattern: '.'}]}]\n"
)
OF_TARGETS = {"job", "instance", "namespace", "le", "__name__"}  # that Prometheus itself gives


def test_what_is_committed_is_what_its_source_makes() -> None:
    for path, content in made().items():
        assert path.read_text("utf-8") == content, f"{path.name}: run python -m dashboards.generate"


def promtool(*arguments: str) -> None:
    tool = shutil.which("promtool")
    if tool is None:
        said = "promtool is not here; apt install prometheus"
        if os.environ.get("SPILLWAY_REQUIRE_SERVICES") == "1":
            pytest.fail(said)
        pytest.skip(said)
    run = subprocess.run([tool, *arguments], cwd=FOLDER / "prometheus", capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_rules_are_sound() -> None:
    promtool("check", "rules", "spillway.rules.yaml")


def test_alerts_fire_when_they_should_and_at_no_other_time() -> None:
    promtool("test", "rules", "spillway.test.yaml")
    told = (FOLDER / "prometheus" / "spillway.test.yaml").read_text()
    assert [alert.name for alert in ALERTS if alert.name not in told] == []


def panels(name: str) -> Iterator[dict[str, Any]]:
    board = json.loads((FOLDER / "grafana" / f"spillway-{name}.json").read_text())
    for panel in board["panels"]:
        yield from [inner for inner in (panel, *panel.get("panels", ())) if inner["type"] != "row"]


def expressions() -> Iterator[str]:
    """Everything that is asked of Prometheus, with Grafana's variables in place."""
    for panel in panels("gateway"):
        yield from (
            target["expr"].replace("$__rate_interval", "5m").replace("$job", "gw") for target in panel["targets"]
        )
    yield from (narrowed(rule.expr, 'job="gw"') for rule in (*RECORDED, *ALERTS))


def selectors(expression: str) -> Iterator[promql_parser.VectorSelector]:
    found: list[promql_parser.VectorSelector] = []

    def visit(node: promql_parser.Expr) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)
        elif isinstance(node, promql_parser.MatrixSelector):
            found.append(node.vector_selector)
        return True

    promql_parser.walk(promql_parser.parse(expression), visit)
    yield from found


def grouped_by(expression: str) -> Iterator[str]:
    labels: list[str] = []

    def visit(node: promql_parser.Expr) -> bool:
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
            labels.extend(node.modifier.labels)
        return True

    promql_parser.walk(promql_parser.parse(expression), visit)
    yield from labels


async def scraped(tmp_path: Path) -> dict[str, set[str]]:
    """The labels of every series that a gateway tells, by name, after it was asked well and badly."""
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(answer("it is 0.31"), answer("it is 0.95"), answer("unscorable"), status(500))
        async with serving(tmp_path, models(small=small.base_url, large=large.base_url), CASCADE) as gateway:
            for n in range(4):
                fields: dict[str, Any] = {"stream": n == 1, "temperature": 0}
                await gateway.chat(messages=[{"role": "user", "content": f"question {n}"}], **fields)
            await gateway.chat(messages=[{"role": "user", "content": "question 0"}], temperature=0)
            await gateway.http.get("/nowhere")
            told = (await gateway.http.get("/metrics")).text
    labels: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(told):
        names = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""])
        for suffix in names:
            labels.setdefault(family.name + suffix, set())
        for sample in family.samples:
            labels.setdefault(sample.name, set()).update(sample.labels)
    declared = [value for value in vars(Metrics).values() if isinstance(value, Named)]
    for named in declared:
        for name in (name for name in labels if name.startswith(named.name)):
            labels[name].update(named.labels)
    for collected in RuntimeMetrics(dict, Doorway()).collect():
        for name in (name for name in labels if name.removesuffix("_total") == collected.name):
            labels[name].update(getattr(collected, "_labelnames", ()))
    return labels


async def test_every_series_that_is_asked_for_is_told_with_its_labels(tmp_path: Path) -> None:
    told = await scraped(tmp_path)
    recorded = {rule.name for rule in RECORDED}
    asked = list(expressions())
    assert len(asked) > 60
    for expression in asked:
        known = set(OF_TARGETS)
        for selector in selectors(expression):
            name = selector.name or ""
            assert name in told or name in recorded, f"{name} in {expression}"
            known |= told.get(name, set())
            matched = {matcher.name for matcher in selector.matchers.matchers}
            assert matched <= told[name] | OF_TARGETS, expression
        assert set(grouped_by(expression)) <= known, expression


async def test_every_statement_runs_and_its_figures_are_the_ledgers(tmp_path: Path) -> None:
    async with fresh_database("postgresql", tmp_path) as database:
        await furnish(database)
        await label(database)
        now_us = int(NOW.timestamp()) * 1_000_000
        await Rollups(database).fold(now_us, rebuild=True)
        hour = NOW.replace(minute=0, second=0, microsecond=0)
        begins = int(hour.timestamp()) - 40 * 86_400
        span = Span(until=hour)
        found = {
            panel["title"]: await rows(database, panel, begins, int(hour.timestamp())) for panel in panels("ledger")
        }
        total = await Reports(database).total(span)
        saved = await read_savings(database, span)
    assert nano(found["Spent"][0]["spent"]) == total.known_nanousd
    assert nano(found["Saved, net"][0]["saved"]) == saved.saved_nanousd
    assert found["Requests"][0]["requests"] == total.requests
    assert sum(nano(row["value"]) for row in found["Spent, by model"]) == total.known_nanousd
    assert sum(nano(row["value"]) for row in found["What it was spent for"]) == total.known_nanousd
    assert sum(nano(row["usd"]) for row in found["Teams"]) == total.known_nanousd
    assert sum(nano(row["usd"]) for row in found["Keys"]) == total.known_nanousd
    assert sum(nano(row["usd"]) for row in found["Providers"]) == total.known_nanousd
    against = [row for row in found["Against the reference"] if row["metric"] != "spent"]
    assert sum(nano(row["value"]) for row in against) == saved.compared.reference_nanousd
    assert all(0 <= row["value"] <= 1 for row in (*found["Accepted"], *found["Quality"]))
    assert [title for title, listed in found.items() if not listed] == []


async def rows(database: Database, panel: dict[str, Any], begins: int, ends: int) -> list[dict[str, Any]]:
    """What a panel's one statement brings, with Grafana's macros and variables in place."""
    (target,) = panel["targets"]
    sql = target["rawSql"].replace("$__unixEpochFrom()", str(begins)).replace("$__unixEpochTo()", str(ends))
    sql = sql.replace("($org)", "(SELECT DISTINCT tenant_id FROM requests)").replace("$tag", "app")
    assert "$" not in sql
    async with database.read() as connection:
        found = await connection.execute(text(sql.replace(":", "\\:")))
        return [dict(row) for row in found.mappings()]


def nano(usd: Decimal) -> int:
    return int(usd * 10**9)
