"""Expert pools in the chart: what engines are started with, what the gateway is told of them, what is refused."""

import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import helm_python as helm
import pytest
import yaml

from gateway.config.check import load_settings
from gateway.config.settings import ModelSettings, Settings
from tests.charts import CHART, Manifest, manifests, named, values_of

GPU = values_of("gpu")
POOL = {"mode": "vllm", "model": "Qwen/Qwen3-30B-A3B-Instruct-2507"}


@pytest.fixture(scope="module")
def chart() -> Iterator[helm.Chart]:
    with helm.Chart.load(CHART) as loaded:
        yield loaded


def engine(chart: helm.Chart, pool: Manifest, name: str = "moe") -> Manifest:
    """The one container of a pool's engine."""
    values = {"expertPools": {name: POOL | pool}}
    (container,) = named(manifests(chart, values), "StatefulSet", f"spillway-{name}")["spec"]["template"]["spec"][
        "containers"
    ]
    assert isinstance(container, dict)
    return container


def settings(chart: helm.Chart, values: Manifest, folder: Path) -> Settings:
    """The configuration that the chart writes, as the gateway understands it."""
    file = folder / "spillway.yaml"
    file.write_text(named(manifests(chart, values), "ConfigMap", "spillway-config")["data"]["spillway.yaml"])
    return load_settings(file, serving=False)


def gpu_settings(chart: helm.Chart, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, ModelSettings]:
    (gateway,) = named(manifests(chart, GPU), "Deployment", "spillway")["spec"]["template"]["spec"]["containers"]
    given = {entry["name"] for entry in gateway["env"]}
    for name in given | {"OPENAI_API_KEY"}:
        url = {"DATABASE": "postgresql+asyncpg://u@db/spillway", "REDIS": "redis://redis:6379"}
        monkeypatch.setenv(name, url.get(name.split("_")[1], f"key of {name}"))
    return {model.name: model for model in settings(chart, GPU, folder).models}


def test_an_engine_starts_with_what_the_gateway_is_told(
    chart: helm.Chart, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = gpu_settings(chart, tmp_path, monkeypatch)
    for name, pool in GPU["expertPools"].items():
        if pool["mode"] != "vllm":
            continue
        found = named(manifests(chart, GPU), "StatefulSet", f"spillway-{name}")
        (container,) = found["spec"]["template"]["spec"]["containers"]
        flags = dict(arg.removeprefix("--").split("=") for arg in container["args"][1:] if "=" in arg)
        assert container["command"] == ["vllm", "serve"]
        assert container["args"][0] == pool["model"]
        assert flags["served-model-name"] == (models[name].upstream_model or models[name].name)
        assert int(flags["max-model-len"]) == models[name].context_tokens
        assert int(flags["max-num-seqs"]) == models[name].load.places
        assert models[name].probe


def test_replicas_are_told_by_name_and_each_has_its_weights(
    chart: helm.Chart, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = manifests(chart, GPU)
    workload = named(found, "StatefulSet", "spillway-qwen3-moe")
    assert workload["spec"]["replicas"] == 2
    headless = named(found, "Service", workload["spec"]["serviceName"])
    assert headless["spec"]["clusterIP"] == "None"
    assert headless["spec"]["selector"].items() <= workload["spec"]["template"]["metadata"]["labels"].items()
    told = gpu_settings(chart, tmp_path, monkeypatch)["qwen3-moe"]
    host = f"{workload['metadata']['name']}-{{}}.{headless['metadata']['name']}.llm.svc"
    assert [str(it.base_url) for it in told.deployments] == [f"http://{host.format(n)}:8000/v1" for n in (0, 1)]
    (claim,) = workload["spec"]["volumeClaimTemplates"]
    mounts = {
        mount["name"]: mount["mountPath"]
        for mount in workload["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    }
    assert claim["metadata"]["name"] in mounts
    assert claim["spec"]["storageClassName"] == "fast-ssd"


def test_keys_are_the_same_secret_for_the_engine_and_the_gateway(
    chart: helm.Chart, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = manifests(chart, GPU)
    (gateway,) = named(found, "Deployment", "spillway")["spec"]["template"]["spec"]["containers"]
    (vllm,) = named(found, "StatefulSet", "spillway-gpt-oss")["spec"]["template"]["spec"]["containers"]
    told = {entry["name"]: entry.get("valueFrom") for entry in gateway["env"]}
    asked = {entry["name"]: entry.get("valueFrom") for entry in vllm["env"]}
    assert told["SPILLWAY_POOL_GPT_OSS_API_KEY"] == asked["VLLM_API_KEY"]
    assert told["SPILLWAY_POOL_DEEPSEEK_API_KEY"] == {"secretKeyRef": {"name": "deepseek-key", "key": "token"}}
    models = gpu_settings(chart, tmp_path, monkeypatch)
    key = models["gpt-oss"].api_key
    assert key is not None
    assert key.get_secret_value() == "key of SPILLWAY_POOL_GPT_OSS_API_KEY"
    assert vllm["startupProbe"]["httpGet"]["path"] == "/health"  # with a key, /v1 would answer 401
    assert str(models["deepseek"].base_url) == "https://engines.example.com/v1"
    assert models["deepseek"].upstream_model == "deepseek-ai/DeepSeek-V3.2"


def test_a_model_may_take_half_an_hour_to_load(chart: helm.Chart) -> None:
    probe = engine(chart, {})["startupProbe"]
    assert probe["httpGet"]["path"] == "/v1/models"
    assert probe["periodSeconds"] * probe["failureThreshold"] == 1800
    slower = engine(chart, {"startupSeconds": 3601})["startupProbe"]
    assert slower["periodSeconds"] * slower["failureThreshold"] >= 3601


def test_every_cache_is_in_a_volume_since_the_root_is_read_only(chart: helm.Chart) -> None:
    container = engine(chart, {})
    written = [entry["value"] for entry in container["env"] if entry.get("value", "").startswith("/")]
    mounts = [mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
    assert len(written) >= 10
    assert [path for path in written if not path.startswith(tuple(mounts))] == []
    assert {"name": "USER", "value": "vllm"} in container["env"]
    assert {"/tmp", "/dev/shm"} <= set(mounts)


def test_shared_memory_and_gpus_are_what_the_pool_says(chart: helm.Chart) -> None:
    spec = named(manifests(chart, GPU), "StatefulSet", "spillway-gpt-oss")["spec"]["template"]["spec"]
    (shm,) = (volume for volume in spec["volumes"] if volume["name"] == "shm")
    assert shm["emptyDir"] == {"medium": "Memory", "sizeLimit": "16Gi"}
    assert spec["containers"][0]["resources"]["limits"] == {"memory": "160Gi", "nvidia.com/gpu": 4}
    assert spec["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert spec["enableServiceLinks"] is False


@pytest.mark.parametrize(
    ("parallel", "wanted"),
    [
        ({}, {"--tensor-parallel-size=4"}),
        ({"experts": True}, {"--tensor-parallel-size=4", "--enable-expert-parallel"}),
        (
            {"data": 4, "experts": True},
            {"--tensor-parallel-size=1", "--data-parallel-size=4", "--enable-expert-parallel"},
        ),
        ({"tensor": 2, "pipeline": 2}, {"--tensor-parallel-size=2", "--pipeline-parallel-size=2"}),
    ],
)
def test_experts_are_spread_only_where_that_is_asked_for(
    chart: helm.Chart, parallel: Manifest, wanted: set[str]
) -> None:
    args = engine(chart, {"gpus": 4, "parallel": parallel})["args"]
    assert {arg for arg in args if "parallel" in arg} == wanted


def test_keda_asks_for_this_pools_requests_and_then_there_is_no_number(chart: helm.Chart) -> None:
    found = manifests(chart, GPU)
    workload = named(found, "StatefulSet", "spillway-gpt-oss")
    assert "replicas" not in workload["spec"]
    scaled = named(found, "ScaledObject", "spillway-gpt-oss")["spec"]
    assert scaled["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "spillway-gpt-oss"}
    (trigger,) = scaled["triggers"]
    served = next(
        arg for arg in workload["spec"]["template"]["spec"]["containers"][0]["args"] if "served-model-name" in arg
    )
    label = f'{{namespace="llm",model_name="{served.partition("=")[2]}"}}'
    asked = f"sum(vllm:num_requests_running{label}) + sum(vllm:num_requests_waiting{label})"
    assert trigger["metadata"] == {
        "serverAddress": "http://prometheus.monitoring.svc:9090",
        "query": asked,
        "threshold": "96",
    }


def test_nobody_asks_an_engine_past_the_gateway(chart: helm.Chart) -> None:
    found = manifests(chart, GPU)
    policy = named(found, "NetworkPolicy", "spillway-pools")["spec"]
    (rule,) = policy["ingress"]
    gateway = named(found, "Deployment", "spillway")["spec"]["template"]["metadata"]["labels"]
    assert rule["from"][0]["podSelector"]["matchLabels"].items() <= gateway.items()
    assert rule["from"][1:] == GPU["networkPolicy"]["adminFrom"]
    monitor = named(found, "ServiceMonitor", "spillway-pools")["spec"]["selector"]["matchLabels"].items()
    scraped = [
        it["metadata"]["name"]
        for it in found
        if it["kind"] == "Service" and monitor <= it["metadata"]["labels"].items()
    ]
    assert sorted(scraped) == ["spillway-gpt-oss", "spillway-qwen3-moe"]
    assert not any(it["metadata"]["name"].endswith("deepseek") for it in found)


def test_a_judge_on_a_pool_is_reached(chart: helm.Chart) -> None:
    retrain = {"enabled": True, "policy": "support", "judge": {"model": "gpt-oss"}}
    values = GPU | {"artifacts": {"existingClaim": "ours"}, "jobs": {"retrain": retrain}}
    found = manifests(chart, values)
    (rule,) = named(found, "NetworkPolicy", "spillway-pools")["spec"]["ingress"]
    selectors = [peer["podSelector"]["matchLabels"].items() for peer in rule["from"] if "podSelector" in peer]
    template = named(found, "CronJob", "spillway-retrain")["spec"]["jobTemplate"]["spec"]["template"]
    assert any(selector <= template["metadata"]["labels"].items() for selector in selectors)


def test_a_user_s_number_is_written_as_one(chart: helm.Chart) -> None:
    rendered = chart.render({"expertPools": {"moe": POOL | {"runAsUser": 1_000_650_000}}}, name="s", namespace="llm")
    text = next(text for path, text in rendered.items() if path.endswith("pools/statefulset.yaml"))
    assert re.search(r"runAsUser: 1000650000$", text, re.MULTILINE)


def test_a_pool_that_is_named_as_another_one_s_service_is_refused(chart: helm.Chart) -> None:
    with pytest.raises(helm.HelmRenderError, match="Service of the engines of moe"):
        manifests(chart, {"expertPools": {"moe": POOL, "moe-pods": POOL}})


def test_what_a_pool_may_say_to_the_gateway_is_what_a_model_may(chart: helm.Chart) -> None:
    assert chart.schema is not None
    said = chart.schema["properties"]["expertPools"]["additionalProperties"]["properties"]
    of_the_chart = {
        "name",
        "backend",
        "base_url",
        "api_key",
        "deployments",
        "upstream_model",
        "log",
        "recorded_model",
        "mixture",
    }
    assert set(said["gateway"]["properties"]) == set(ModelSettings.model_fields) - of_the_chart
    own = {"mode", "url", "model", "gateway"}
    assert set(said) - own == set(chart.schema["properties"]["expertPoolDefaults"]["properties"])


@pytest.mark.parametrize(
    ("pool", "message"),
    [
        ({"gpus": 4, "parallel": {"tensor": 3}}, "expertPools.moe: tensor × pipeline × data is 3, and gpus is 4"),
        ({"gpus": 2, "parallel": {"data": 4}}, "is 0, and gpus is 2"),
        ({"autoscaling": {"enabled": True}}, "needs autoscaling.prometheus"),
        (
            {"autoscaling": {"enabled": True, "minReplicas": 9, "prometheus": "http://prometheus"}},
            "minReplicas is above maxReplicas",
        ),
        ({"image": {"tag": ""}}, "needs a tag or a digest"),
    ],
)
def test_pools_that_do_not_go_together_are_refused_in_words(chart: helm.Chart, pool: Manifest, message: str) -> None:
    with pytest.raises(helm.HelmRenderError, match=message):
        manifests(chart, {"expertPools": {"moe": POOL | pool}})


def test_a_pool_that_is_named_as_a_model_is_refused(chart: helm.Chart) -> None:
    with pytest.raises(helm.HelmRenderError, match='Two models are named "large"'):
        manifests(chart, {"expertPools": {"large": POOL}})
    with pytest.raises(helm.HelmRenderError, match="No model"):
        manifests(chart, {"config": {"models": [], "policies": []}})


@pytest.mark.parametrize(
    ("pool", "named_"),
    [
        ({"mode": "sglang", "model": "a"}, "mode"),
        ({"mode": "external", "model": "a"}, "url"),
        ({"mode": "external", "url": "http://a/v1", "gpus": 2}, "gpus"),
        ({"mode": "external", "url": "http://user:secret@a/v1"}, "url"),
        ({"mode": "vllm"}, "model"),
        (POOL | {"url": "http://a/v1"}, "url"),
        (POOL | {"image": {"tag": "latest"}}, "tag"),
        (POOL | {"runAsUser": 0}, "runAsUser"),
        (POOL | {"extraArgs": ["gpu-memory-utilization=0.9"]}, "extraArgs"),
        (POOL | {"autoscaling": {"minReplicas": 0}}, "minReplicas"),
        (POOL | {"gateway": {"base_url": "http://a"}}, "base_url"),
        (POOL | {"gateway": {"load": {"places": 0}}}, "places"),
    ],
)
def test_the_schema_refuses_what_no_pool_has(chart: helm.Chart, pool: Manifest, named_: str) -> None:
    with pytest.raises(helm.HelmValuesError, match=named_):
        chart.validate_schema({"expertPools": {"moe": pool}})
    with pytest.raises(helm.HelmValuesError, match="Not_A_Name"):
        chart.validate_schema({"expertPools": {"Not_A_Name": POOL}})


class _Engine(BaseHTTPRequestHandler):
    busy: list[float]

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        pass

    def do_GET(self) -> None:
        now = self.busy.pop(0) if len(self.busy) > 1 else self.busy[0]
        lines = [
            f'vllm:num_requests_{what}{{model_name="moe"}} {n}' for what, n in (("waiting", 0.0), ("running", now))
        ]
        self.send_response(200)
        self.end_headers()
        self.wfile.write("\n".join(["# TYPE vllm:num_requests_running gauge", *lines, ""]).encode())


@pytest.mark.parametrize(("busy", "looks_left"), [([2.0, 1.0, 0.0], 1), ([1.0], 1)], ids=["until idle", "never idle"])
def test_an_engine_is_stopped_when_it_has_nothing_to_do_or_after_the_longest_answer(
    chart: helm.Chart, busy: list[float], looks_left: int
) -> None:
    command = engine(chart, {})["lifecycle"]["preStop"]["exec"]["command"]
    assert command[3:] == ["http://127.0.0.1:8000/metrics", "10", "300"]
    handler = type("Engine", (_Engine,), {"busy": list(busy)})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/metrics"
        done = subprocess.run(
            [sys.executable, *command[1:3], url, "0.1", "1"], capture_output=True, timeout=30, check=False
        )
        server.shutdown()
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(handler.busy) == looks_left  # type: ignore[attr-defined]
    spec = named(manifests(chart, GPU), "StatefulSet", "spillway-gpt-oss")["spec"]["template"]["spec"]
    assert spec["terminationGracePeriodSeconds"] > 10 + 300


def test_an_engine_too_busy_to_say_so_is_waited_for(chart: helm.Chart) -> None:
    command = engine(chart, {})["lifecycle"]["preStop"]["exec"]["command"]
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and says nothing
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/metrics"
        began = time.monotonic()
        subprocess.run([sys.executable, *command[1:3], url, "0.1", "6"], timeout=40, check=True)
    assert time.monotonic() - began > 6


def test_without_an_engine_there_is_nothing_to_wait_for(chart: helm.Chart) -> None:
    command = engine(chart, {})["lifecycle"]["preStop"]["exec"]["command"]
    done = subprocess.run(
        [sys.executable, *command[1:3], "http://127.0.0.1:1/metrics", "30", "300"],
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("release", ["spillway", "r" * 53])
def test_pods_of_a_pool_have_names_that_fit(chart: helm.Chart, release: str) -> None:
    rendered = manifests(chart, {"expertPools": {"a-name-of-20-letters": POOL}}, release)
    (workload,) = (it for it in rendered if it["kind"] == "StatefulSet")
    assert len(workload["metadata"]["name"]) <= 52  # and eleven more in the label of its revision
    text = yaml.safe_dump(
        named(rendered, "ConfigMap", next(it["metadata"]["name"] for it in rendered if it["kind"] == "ConfigMap"))
    )
    assert re.search(rf"http://{workload['metadata']['name']}\.llm\.svc:8000/v1", text)
