"""What the chart does by the clock, where scorers come from, and how many gateways there are."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import helm_python as helm
import pytest
import yaml
from typer.testing import CliRunner

from gateway.cli import build
from gateway.config.check import load_settings
from gateway.telemetry.names import Metrics
from scorer.dataset import write_log
from tests.charts import CHART, Manifest, manifests, named, pods, values_of
from tests.fakelog import MODELS, fake_log

STORES = {"database": {"existingSecret": "pg"}, "redis": {"existingSecret": "redis"}}
RETRAIN = {
    "enabled": True,
    "policy": "support",
    "optimize": ["--match-best", "--prices=prices.json"],
    "replay": ["--prices=prices.json"],
}
PRICES = {"models": {name: {"input": float(rate), "output": 2 * float(rate)} for name, (_, rate) in MODELS.items()}}


@pytest.fixture(scope="module")
def chart() -> Iterator[helm.Chart]:
    with helm.Chart.load(CHART) as loaded:
        yield loaded


def retraining(chart: helm.Chart, **said: object) -> Manifest:
    """The container that retrains."""
    values = STORES | {"artifacts": {"existingClaim": "ours"}, "jobs": {"retrain": RETRAIN | said}}
    (spec,) = pods(named(manifests(chart, values), "CronJob", "spillway-retrain"))
    (container,) = spec["containers"]
    assert isinstance(container, dict)
    return container


@pytest.mark.parametrize(("job", "command"), [("rollup", "ledger rollup"), ("retention", "ledger retain")])
def test_what_a_job_runs_exists_and_it_has_the_stores_and_no_provider_key(
    chart: helm.Chart, job: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = manifests(chart, values_of("production"))
    cron = named(found, "CronJob", f"spillway-{job}")
    assert cron["spec"]["concurrencyPolicy"] == "Forbid"
    (container,) = pods(cron)[0]["containers"]
    assert " ".join(container["args"]) == command
    asked = [*command.split(), "--help"]
    assert CliRunner().invoke(build(asked), asked).exit_code == 0
    assert "envFrom" not in container
    given = {entry["name"] for entry in container["env"]}
    monkeypatch.setenv("SPILLWAY_DATABASE_URL", "postgresql+asyncpg://u@db/spillway")
    monkeypatch.setenv("SPILLWAY_REDIS_URL", "redis://redis:6379")
    assert given == {"SPILLWAY_CONFIG", "SPILLWAY_DATABASE_URL", "SPILLWAY_REDIS_URL"}
    file = tmp_path / "spillway.yaml"
    file.write_text(named(found, "ConfigMap", "spillway-config")["data"]["spillway.yaml"])
    assert load_settings(file, serving=False).ledger.retention.details_days == 90  # without the provider's key


def test_no_pod_of_a_job_is_sent_requests(chart: helm.Chart) -> None:
    found = manifests(chart, values_of("production"))
    selector = named(found, "Service", "spillway")["spec"]["selector"].items()
    crons = [it for it in found if it["kind"] == "CronJob"]
    assert len(crons) == 3
    for cron in crons:
        assert not selector <= cron["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"].items()


@pytest.fixture
def spillway(tmp_path: Path) -> Path:
    """A folder with the command, which knows no database here: transcripts are a log that is at hand."""
    write_log(tmp_path / "kept.jsonl.gz", [*fake_log(120), *fake_log(40, seed=1, split="dev")])
    (tmp_path / "prices.json").write_text(json.dumps(PRICES))
    command = tmp_path / "bin" / "spillway"
    command.parent.mkdir()
    real = Path(sys.executable).with_name("spillway")
    command.write_text(
        f"""#!/bin/sh
echo "$*" >>{tmp_path}/asked
if [ "$1 $2" = "transcripts export" ]; then
    while [ "$1" != -o ]; do shift; done
    exec cp {tmp_path}/kept.jsonl.gz "$2"
fi
exec {real} "$@"
"""
    )
    command.chmod(0o755)
    return tmp_path


def run(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "tmp").mkdir(exist_ok=True)
    told = {"ARTIFACTS": str(folder / "artifacts"), "POLICY": "support", "DAYS": "30", "TMPDIR": str(folder / "tmp")}
    env = os.environ | told | {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    return subprocess.run(
        ["sh", "-c", script], cwd=folder, env=env, capture_output=True, text=True, timeout=150, check=False
    )


def test_retraining_puts_a_scorer_and_a_strategy_beside_those_that_serve(chart: helm.Chart, spillway: Path) -> None:
    container = retraining(chart, train=["--model=logistic"])
    assert {entry["name"]: entry.get("value") for entry in container["env"]}["ARTIFACTS"] == "/artifacts"
    done = run(container["command"][2], spillway)
    assert done.returncode == 0, done.stderr
    support = spillway / "artifacts" / "support"
    latest = support / "latest"
    (made,) = (it for it in support.iterdir() if it.name != "latest")
    assert latest.is_symlink()
    assert latest.resolve() == made
    assert {it.name for it in made.iterdir()} == {"scorer", "strategy.json", "replay.txt"}
    assert list((spillway / "tmp").iterdir()) == []  # what people wrote is not kept
    sections = (
        "models: [{name: small, backend: hosted}, {name: middling, backend: hosted}, {name: large, backend: hosted}]"
    )
    policy = (
        f"policies: [{{name: support, safe_model: large, strategy: {latest}/strategy.json, scorer: {latest}/scorer}}]"
    )
    (spillway / "spillway.yaml").write_text(f"{sections}\n{policy}\n")
    load_settings(spillway / "spillway.yaml", env={"OPENAI_API_KEY": "k"})
    exported = (spillway / "asked").read_text().splitlines()[0]
    assert exported.startswith("transcripts export --labelled --policy support --since 20")


def test_retraining_that_fails_leaves_what_there_was(chart: helm.Chart, spillway: Path) -> None:
    before = spillway / "artifacts" / "support" / "20260101-000000"
    before.mkdir(parents=True)
    (before.parent / "latest").symlink_to(before.name)
    (spillway / "kept.jsonl.gz").write_bytes(b"")
    done = run(retraining(chart)["command"][2], spillway)
    assert done.returncode != 0
    assert sorted(it.name for it in before.parent.iterdir()) == ["20260101-000000", "latest"]
    assert (before.parent / "latest").resolve() == before


def test_a_judge_has_the_keys_that_its_model_needs_and_a_bound(chart: helm.Chart) -> None:
    (spec,) = pods(named(manifests(chart, values_of("production")), "CronJob", "spillway-retrain"))
    (container,) = spec["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": "provider-keys"}}]
    script = container["command"][2]
    assert "spillway label --judge 'large' --most-usd 20 " in script
    assert "--labelled" not in script
    job = named(manifests(chart, values_of("production")), "CronJob", "spillway-retrain")["spec"]["jobTemplate"]["spec"]
    assert job["backoffLimit"] == 0  # a second time it would spend the bound again
    assert "envFrom" not in retraining(chart)


def test_arguments_reach_the_command_as_they_were_written(chart: helm.Chart) -> None:
    script = retraining(chart, train=["--labels=it's; rm -rf /"])["command"][2]
    (line,) = (line for line in script.splitlines() if line.startswith("spillway train"))
    assert shlex.split(line)[-1] == "--labels=it's; rm -rf /"
    assert subprocess.run(["sh", "-n", "-c", script], check=False).returncode == 0


def artifacts(chart: helm.Chart, values: Manifest) -> tuple[Manifest, Manifest]:
    """The pod spec of the gateway and its volume of artifacts."""
    (spec,) = pods(named(manifests(chart, values), "Deployment", "spillway"))
    (mount,) = (it for it in spec["containers"][0]["volumeMounts"] if it["mountPath"] == "/artifacts")
    assert mount["readOnly"] is True
    (volume,) = (it for it in spec["volumes"] if it["name"] == mount["name"])
    return spec, volume


def test_artifacts_come_from_a_claim_a_config_map_or_an_object_store(chart: helm.Chart) -> None:
    _, claim = artifacts(chart, {"artifacts": {"existingClaim": "ours"}})
    assert claim["persistentVolumeClaim"] == {"claimName": "ours", "readOnly": True}
    items = [{"key": "strategy.json", "path": "support/strategy.json"}]
    _, config_map = artifacts(chart, {"artifacts": {"configMap": {"name": "ours", "items": items}}})
    assert config_map["configMap"] == {"name": "ours", "items": items}
    spec, fetched = artifacts(chart, values_of("argocd"))
    assert fetched["emptyDir"] == {"sizeLimit": "1Gi"}
    (copies,) = spec["initContainers"]
    assert {"name": fetched["name"], "mountPath": "/artifacts"} in copies["volumeMounts"]
    assert copies["envFrom"] == [{"secretRef": {"name": "object-store"}}]
    assert "/artifacts" in copies["args"]


def test_keda_counts_requests_under_way_and_no_hpa_disagrees(chart: helm.Chart) -> None:
    found = manifests(chart, values_of("argocd"))
    assert not any(it["kind"] == "HorizontalPodAutoscaler" for it in found)
    assert "replicas" not in named(found, "Deployment", "spillway")["spec"]
    scaled = named(found, "ScaledObject", "spillway")["spec"]
    assert scaled["scaleTargetRef"]["kind"] == "Deployment"
    assert (scaled["minReplicaCount"], scaled["maxReplicaCount"]) == (2, 8)
    queries = [trigger["metadata"].get("query") for trigger in scaled["triggers"]]
    assert queries == [None, f'sum({Metrics.IN_FLIGHT.name}{{namespace="llm",job="spillway"}})']
    assert any(it["kind"] == "PodDisruptionBudget" for it in found)


@pytest.mark.parametrize("example", ["argocd", "production", "gpu"])
def test_two_renderings_are_the_same(chart: helm.Chart, example: str) -> None:
    """Argo CD renders anew at every look: what is drawn or dated would never be in sync."""
    values = values_of(example)
    assert yaml.safe_dump(manifests(chart, values)) == yaml.safe_dump(manifests(chart, values))
    assert not any("lookup" in template["data"] for template in chart.templates)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"jobs": {"rollup": {"enabled": True}}}, r"jobs\.rollup\.enabled needs database\.existingSecret"),
        (STORES | {"jobs": {"retrain": RETRAIN}}, r"jobs\.retrain\.enabled needs artifacts\.existingClaim"),
        (
            STORES | {"artifacts": {"existingClaim": "a"}, "jobs": {"retrain": {"enabled": True}}},
            r"needs jobs\.retrain\.policy",
        ),
        (
            {"artifacts": {"existingClaim": "a", "configMap": {"name": "b"}}},
            r"artifacts\.existingClaim, artifacts\.configMap: .* one place",
        ),
        (STORES | {"autoscaling": {"enabled": True, "kind": "keda"}}, r"needs autoscaling\.keda\.prometheus"),
    ],
)
def test_values_that_do_not_go_together_are_refused_in_words(chart: helm.Chart, values: Manifest, message: str) -> None:
    with pytest.raises(helm.HelmRenderError, match=message):
        manifests(chart, values)


@pytest.mark.parametrize(
    ("values", "named_"),
    [
        ({"artifacts": {"fetch": {"image": "rclone/rclone"}}}, "image"),
        ({"artifacts": {"fetch": {"image": "rclone/rclone:latest"}}}, "image"),
        ({"artifacts": {"fetch": {"image": "a:1", "password": "p"}}}, "password"),
        ({"artifacts": {"configMap": {"items": [{"key": "a", "path": "../a"}]}}}, "path"),
        ({"jobs": {"rollup": {"schedule": "daily"}}}, "schedule"),
        ({"jobs": {"retrain": {"policy": "../support"}}}, "policy"),
        ({"jobs": {"backup": {"enabled": True}}}, "backup"),
        ({"autoscaling": {"kind": "vpa"}}, "kind"),
    ],
)
def test_the_schema_refuses_what_it_does_not_know(chart: helm.Chart, values: Manifest, named_: str) -> None:
    with pytest.raises(helm.HelmValuesError, match=named_):
        chart.validate_schema(values)
