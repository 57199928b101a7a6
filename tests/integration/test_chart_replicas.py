"""The chart with stores of its own accord elsewhere: several replicas, migrations before them, who may reach them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helm_python as helm
import pytest
import yaml

from dashboards.prometheus.rules import groups
from gateway.cli import build
from gateway.config.check import load_settings

CHART = Path(__file__).parents[2] / "helm" / "spillway"
PRODUCTION = yaml.safe_load((CHART / "ci" / "production-values.yaml").read_text())
STORES = {"database": {"existingSecret": "pg"}, "redis": {"existingSecret": "redis"}}

Manifest = dict[str, Any]


@pytest.fixture(scope="module")
def chart() -> Iterator[helm.Chart]:
    with helm.Chart.load(CHART) as loaded:
        yield loaded


def by_kind(chart: helm.Chart, values: Manifest, name: str = "spillway") -> dict[str, Manifest]:
    rendered = chart.render(values, name=name, namespace="llm")
    documents = (yaml.safe_load_all(text) for path, text in rendered.items() if path.endswith(".yaml"))
    return {document["kind"]: document for stream in documents for document in stream if document}


def test_replicas_over_shared_stores_need_no_claim_and_never_all_stop(chart: helm.Chart) -> None:
    found = by_kind(chart, {**STORES, "replicas": 3})
    assert "PersistentVolumeClaim" not in found
    deployment = found["Deployment"]["spec"]
    assert deployment["replicas"] == 3
    assert deployment["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    pod = deployment["template"]["spec"]
    assert {spread["topologyKey"] for spread in pod["topologySpreadConstraints"]} == {
        "topology.kubernetes.io/zone",
        "kubernetes.io/hostname",
    }
    assert found["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1
    labels = deployment["template"]["metadata"]["labels"]
    assert found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"].items() <= labels.items()
    (data,) = (volume for volume in pod["volumes"] if volume["name"] == "data")
    assert "emptyDir" in data


def test_one_replica_has_no_disruption_budget_that_would_block_a_drain(chart: helm.Chart) -> None:
    assert "PodDisruptionBudget" not in by_kind(chart, STORES)


def test_the_stores_urls_come_from_secrets_and_are_understood(
    chart: helm.Chart, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = by_kind(chart, {**STORES, "replicas": 2})
    (container,) = found["Deployment"]["spec"]["template"]["spec"]["containers"]
    told = {entry["name"]: entry.get("valueFrom") for entry in container["env"]}
    assert told["SPILLWAY_DATABASE_URL"] == {"secretKeyRef": {"name": "pg", "key": "url"}}
    assert told["SPILLWAY_REDIS_URL"] == {"secretKeyRef": {"name": "redis", "key": "url"}}
    monkeypatch.setenv("SPILLWAY_DATABASE_URL", "postgresql+asyncpg://u:p%40ss@db/spillway")
    monkeypatch.setenv("SPILLWAY_REDIS_URL", "redis://redis:6379/0")
    file = tmp_path / "spillway.yaml"
    file.write_text(found["ConfigMap"]["data"]["spillway.yaml"])
    settings = load_settings(file, serving=False)
    assert settings.database_url == "postgresql+asyncpg://u:p%40ss@db/spillway"
    assert not settings.database.migrate_at_start
    assert settings.redis is not None
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert settings.ledger.spool is not None
    assert str(settings.ledger.spool.parent) in mounts


def test_migrations_run_first_and_need_nothing_that_the_chart_makes(chart: helm.Chart) -> None:
    found = by_kind(chart, PRODUCTION)
    job = found["Job"]
    annotations = job["metadata"]["annotations"]
    assert annotations["helm.sh/hook"] == "pre-install,pre-upgrade"
    pod = job["spec"]["template"]["spec"]
    assert "serviceAccountName" not in pod
    assert all("configMap" not in volume and "persistentVolumeClaim" not in volume for volume in pod["volumes"])
    (container,) = pod["containers"]
    assert [entry["valueFrom"]["secretKeyRef"]["name"] for entry in container["env"]] == ["spillway-postgresql"]
    names = {command.name for command in build(container["args"]).registered_commands}
    assert set(container["args"]) <= names
    selector = found["Service"]["spec"]["selector"]
    assert not selector.items() <= job["spec"]["template"]["metadata"]["labels"].items()


def test_a_job_passes_the_restricted_security_standard(chart: helm.Chart) -> None:
    pod = by_kind(chart, PRODUCTION)["Job"]["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_a_scaled_deployment_says_no_number_of_its_own(chart: helm.Chart) -> None:
    found = by_kind(chart, PRODUCTION)
    assert "replicas" not in found["Deployment"]["spec"]
    scaler = found["HorizontalPodAutoscaler"]["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (3, 12)
    assert scaler["scaleTargetRef"]["name"] == found["Deployment"]["metadata"]["name"]


def test_only_those_who_are_named_reach_it(chart: helm.Chart) -> None:
    policy = by_kind(chart, PRODUCTION)["NetworkPolicy"]["spec"]
    (rule,) = policy["ingress"]
    assert rule["ports"] == [{"port": "http", "protocol": "TCP"}]
    assert rule["from"][0] == {"namespaceSelector": {"matchLabels": {"llm-access": "yes"}}}
    assert rule["from"][1]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "test"
    assert len(rule["from"]) == 3


def test_routes_and_monitors_lead_to_the_service(chart: helm.Chart) -> None:
    found = by_kind(chart, PRODUCTION)
    service = found["Service"]
    (rule,) = found["HTTPRoute"]["spec"]["rules"]
    assert rule["backendRefs"] == [{"name": service["metadata"]["name"], "port": 80}]
    assert rule["timeouts"] == {"request": "600s"}
    monitor = found["ServiceMonitor"]["spec"]
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]


def test_rules_are_those_of_the_one_source_for_this_release_alone(chart: helm.Chart) -> None:
    found = by_kind(chart, PRODUCTION)
    mine = f'namespace="llm", job="{found["Service"]["metadata"]["name"]}"'
    assert found["PrometheusRule"]["spec"]["groups"] == groups(mine)


def test_grafanas_dashboards_are_the_committed_ones(chart: helm.Chart) -> None:
    wanted = {"grafanaDashboards": {"enabled": True, "annotations": {"grafana_folder": "LLM"}}}
    rendered = chart.render(wanted, name="gw", namespace="llm")["spillway/templates/gateway/grafana.yaml"]
    found = [document for document in yaml.safe_load_all(rendered) if document]
    boards = Path(__file__).parents[2] / "dashboards" / "grafana"
    told = {name: text for document in found for name, text in document["data"].items()}
    assert told == {path.name: path.read_text().strip() for path in boards.glob("*.json")}
    assert len(told) == 2
    for document in found:
        assert document["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert document["metadata"]["annotations"] == {"grafana_folder": "LLM"}
    assert not chart.render({}, name="gw", namespace="llm")["spillway/templates/gateway/grafana.yaml"].strip()


def test_objects_of_ones_own_are_templates(chart: helm.Chart) -> None:
    text = "apiVersion: v1\nkind: Namespace\nmetadata: {name: '{{ .Release.Name }}-b'}"
    values = {"extraObjects": [*PRODUCTION["extraObjects"], text]}
    rendered = chart.render(values, name="gw", namespace="llm")["spillway/templates/extra.yaml"]
    names = [document["metadata"]["name"] for document in yaml.safe_load_all(rendered) if document]
    assert names == ["gw-note", "gw-b"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"replicas": 2, "database": {"existingSecret": "pg"}}, "replicas: 2: without Redis"),
        ({"autoscaling": {"enabled": True}}, "autoscaling.enabled: several gateways cannot share one SQLite file"),
        ({**STORES, "autoscaling": {"enabled": True, "minReplicas": 20}}, "minReplicas is above"),
        ({**STORES, "persistence": {"existingClaim": "old"}}, "name two places for the ledger"),
        ({"httpRoute": {"enabled": True}}, "needs httpRoute.parentRefs"),
    ],
)
def test_values_that_do_not_go_together_are_refused_in_words(chart: helm.Chart, values: Manifest, message: str) -> None:
    with pytest.raises(helm.HelmRenderError, match=message):
        chart.render(values, name="spillway", namespace="llm")
