"""The chart as Helm and a Kubernetes API server would judge it. Knows no cluster: nothing here is installed."""

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import helm_python as helm
import kubernetes_validate
import pytest
import yaml

from gateway.config.check import load_settings
from gateway.config.section import Section
from gateway.config.settings import (
    AdminSettings,
    BillingSettings,
    PolicySettings,
    ServerSettings,
    Settings,
    VerifierSettings,
)
from gateway.config.upstreams import BreakerSettings
from gateway.ledger.limits import WriterLimits
from gateway.serve import _FIRST_WORDS_S
from gateway.serving import _LAST_WORDS_S
from tests.charts import CHART, CI_VALUES, Manifest, manifests, pods, values_of
from tests.kubernetes_cluster import OF_OPERATORS
from tests.kubernetes_pods import containers, forbidden

KUBERNETES = ("1.30", "1.34", kubernetes_validate.latest_version())
SECRET = "sk-proj-not-a-reference"


@pytest.fixture(scope="module")
def chart() -> Iterator[helm.Chart]:
    with helm.Chart.load(CHART) as loaded:
        yield loaded


def one(chart: helm.Chart, kind: str, values: Manifest | None = None) -> Manifest:
    (found,) = (manifest for manifest in manifests(chart, values) if manifest["kind"] == kind)
    return found


def pod_spec(chart: helm.Chart, values: Manifest | None = None) -> Manifest:
    spec: Manifest = one(chart, "Deployment", values)["spec"]["template"]["spec"]
    return spec


def gateway_config(chart: helm.Chart, values: Manifest | None = None) -> Manifest:
    config: Manifest = yaml.safe_load(one(chart, "ConfigMap", values)["data"]["spillway.yaml"])
    return config


@pytest.mark.parametrize("path", CI_VALUES, ids=lambda path: path.stem)
def test_strict_lint_finds_nothing_worse_than_a_missing_icon(path: Path) -> None:
    report = helm.lint(CHART, yaml.safe_load(path.read_text()) or {}, strict=True)
    assert report["errors"] == []
    assert [message for message in report["messages"] if message["severity"] > 1] == []


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("path", CI_VALUES, ids=lambda path: path.stem)
def test_every_manifest_is_valid_kubernetes(chart: helm.Chart, path: Path, version: str) -> None:
    rendered = manifests(chart, yaml.safe_load(path.read_text()) or {})
    assert {"Deployment", "Service", "Pod"} <= {manifest["kind"] for manifest in rendered}
    of_operators = {kind.name for kind in OF_OPERATORS}
    for manifest in rendered:
        if manifest["kind"] not in of_operators:
            kubernetes_validate.validate(manifest, version, strict=True)


def test_a_bare_install_is_one_replica_with_sqlite_on_a_kept_claim(chart: helm.Chart) -> None:
    kinds = sorted(manifest["kind"] for manifest in manifests(chart))
    assert kinds == ["ConfigMap", "Deployment", "PersistentVolumeClaim", "Pod", "Service"]

    deployment = one(chart, "Deployment")
    assert deployment["spec"]["replicas"] == 1
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}

    claim = one(chart, "PersistentVolumeClaim")
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert "storageClassName" not in claim["spec"]

    spec = pod_spec(chart)
    (data,) = (volume for volume in spec["volumes"] if volume["name"] == "data")
    assert data["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    (container,) = spec["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    path = gateway_config(chart)["database"]["url"].removeprefix("sqlite+aiosqlite:///")
    assert Path(path).parent == Path(mounts["data"])


def test_the_service_reaches_the_port_that_the_gateway_listens_on(chart: helm.Chart) -> None:
    deployment, service = one(chart, "Deployment"), one(chart, "Service")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    (port,) = container["ports"]
    server = gateway_config(chart)["server"]
    assert (server["host"], server["port"]) == ("0.0.0.0", port["containerPort"])
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
    test_pod = one(chart, "Pod")
    assert not service["spec"]["selector"].items() <= test_pod["metadata"]["labels"].items()
    assert test_pod["spec"]["containers"][0]["command"][-1] == "http://spillway.llm.svc:80"


@pytest.mark.parametrize("path", CI_VALUES, ids=lambda path: path.stem)
def test_every_pod_passes_the_restricted_security_standard(chart: helm.Chart, path: Path) -> None:
    values = yaml.safe_load(path.read_text()) or {}
    for spec in (spec for manifest in manifests(chart, values) for spec in pods(manifest)):
        assert forbidden(spec) == ""
        assert spec["automountServiceAccountToken"] is False
        pod = spec["securityContext"]
        assert pod["runAsUser"] == pod["runAsGroup"] == (2000 if spec["containers"][0]["name"] == "vllm" else 10001)
        for container in containers(spec):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["requests"]
            assert container["resources"]["limits"]["memory"]


def test_probes_and_a_writable_tmp_under_a_read_only_root(chart: helm.Chart) -> None:
    spec = pod_spec(chart)
    (container,) = spec["containers"]
    probed = {kind: container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")}
    assert probed == {"startup": "/healthz", "readiness": "/readyz", "liveness": "/healthz"}
    startup = container["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= chart.values["probes"]["startupSeconds"]
    (tmp,) = (volume for volume in spec["volumes"] if volume["name"] == "tmp")
    assert "emptyDir" in tmp
    assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"]


@pytest.mark.parametrize("longest", [30, 899.5, 3600])
def test_a_stopping_pod_has_time_for_its_longest_answer(chart: helm.Chart, longest: float) -> None:
    values = {"preStopSeconds": 20, "config": {"server": {"request_timeout_s": longest}}}
    spec = pod_spec(chart, values)
    assert spec["containers"][0]["lifecycle"]["preStop"] == {"sleep": {"seconds": 20}}
    at_the_end = _FIRST_WORDS_S + _LAST_WORDS_S + WriterLimits().drain_s + 2  # and what is shared is let go of
    assert spec["terminationGracePeriodSeconds"] >= 20 + longest + at_the_end
    assert gateway_config(chart, values)["server"]["request_timeout_s"] == longest


def test_names_that_yaml_takes_for_something_else_are_names(chart: helm.Chart) -> None:
    pools = {name: {"mode": "vllm", "model": "a"} for name in ("123", "1e5", "true")}
    for manifest in manifests(chart, {"nameOverride": "on", "expertPools": pools}, name="123"):
        for labels in _labels(manifest):
            assert all(isinstance(value, str) for value in labels.values()), (manifest["kind"], labels)


def _labels(value: object) -> Iterator[Manifest]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in ("labels", "matchLabels", "selector") and not isinstance(inner.get("matchLabels"), dict):
                yield inner
            yield from _labels(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _labels(inner)


def test_large_numbers_reach_the_gateway_as_integers(chart: helm.Chart) -> None:
    values = {"config": {"server": {"max_body_bytes": 16_777_216}, "cache": {"max_entries": 100_000_000}}}
    text = one(chart, "ConfigMap", values)["data"]["spillway.yaml"]
    assert "max_body_bytes: 16777216\n" in text
    assert "max_entries: 100000000\n" in text


def test_a_changed_config_restarts_the_pod_and_nothing_else_does(chart: helm.Chart) -> None:
    def template(values: Manifest | None) -> Manifest:
        found: Manifest = one(chart, "Deployment", values)["spec"]["template"]
        return found

    assert template({"service": {"port": 8000}}) == template(None)
    changed = template({"config": {"cache": {"enabled": False}}})
    assert changed["metadata"]["annotations"] != template(None)["metadata"]["annotations"]


def test_provider_keys_come_from_the_secret_and_stay_out_of_the_config(chart: helm.Chart) -> None:
    values = values_of("hosted")
    (container,) = pod_spec(chart, values)["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": "provider-keys"}}]
    assert {model.get("api_key", "${OPENAI_API_KEY}") for model in gateway_config(chart, values)["models"]} == {
        "${OPENAI_API_KEY}"
    }
    assert all(manifest["kind"] != "Secret" for manifest in manifests(chart, values))


def test_what_exists_already_is_used_and_not_made_again(chart: helm.Chart) -> None:
    values = values_of("existing")
    assert sorted(manifest["kind"] for manifest in manifests(chart, values)) == ["Deployment", "Pod", "Service"]
    spec = pod_spec(chart, values)
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    assert volumes["data"]["persistentVolumeClaim"]["claimName"] == "our-ledger"
    assert volumes["config"]["configMap"] == {
        "name": "our-spillway-config",
        "items": [{"key": "gateway.yaml", "path": "spillway.yaml"}],
    }
    assert spec["serviceAccountName"] == "spillway"


def test_the_ingress_does_not_buffer_streams(chart: helm.Chart) -> None:
    ingress = one(chart, "Ingress", values_of("hosted"))
    annotations = ingress["metadata"]["annotations"]
    assert annotations["nginx.ingress.kubernetes.io/proxy-buffering"] == "off"
    assert annotations["nginx.ingress.kubernetes.io/proxy-request-buffering"] == "off"
    assert ingress["spec"]["rules"][0]["host"] == "llm.example.com"
    assert ingress["spec"]["tls"] == [{"hosts": ["llm.example.com"], "secretName": "llm-example-com-tls"}]


@pytest.mark.parametrize("release", ["spillway", "team-a", "r" * 53])
def test_names_fit_and_releases_do_not_meet(chart: helm.Chart, release: str) -> None:
    for manifest in manifests(chart, name=release):
        assert manifest["metadata"]["name"].startswith(release[:52])
        assert len(manifest["metadata"]["name"]) <= 63
        assert manifest["metadata"]["labels"]["app.kubernetes.io/instance"] == release


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"replicas": 2}, "replicas: 2: several gateways cannot share one SQLite file"),
        ({"ingress": {"enabled": True}}, "ingress.enabled needs ingress.host"),
        (
            {
                "ingress": {"enabled": True, "host": "a.example.com"},
                "config": {"auth": {"required": False, "allow_anonymous_network": True}},
            },
            "would let anyone spend your provider keys",
        ),
        ({"config": {"auth": {"required": False}}}, "lets every pod that reaches the Service"),
        ({"config": {"redis": {"prefix": "a"}}}, "config.redis has no url"),
        (
            {"config": {"admin": {"port": 9090}}, "service": {"port": 9090}},
            "config.admin.port and service.port are one",
        ),
        ({"extraEnv": [{"name": "SPILLWAY_CONFIG", "value": "a"}]}, "SPILLWAY_CONFIG is given twice"),
        ({"extraEnv": [{"name": "A", "value": "a"}, {"name": "A", "value": "b"}]}, "A is given twice"),
        (
            {
                "extraEnv": [{"name": "SPILLWAY_DATABASE_URL", "value": "a"}],
                "database": {"existingSecret": "pg"},
            },
            "SPILLWAY_DATABASE_URL is given twice, or is the chart's",
        ),
        (
            {"config": {"models": [{"name": "gpt", "backend": "hosted"}]}},
            'safe_model of "default" is "large", and there are only gpt, of config.models and expertPools',
        ),
    ],
)
def test_values_that_do_not_go_together_are_refused_in_words(chart: helm.Chart, values: Manifest, message: str) -> None:
    with pytest.raises(helm.HelmRenderError, match=message):
        chart.render(values, name="spillway", namespace="llm")


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"replicaCount": 1}, "replicaCount"),
        ({"replicas": "1"}, "replicas"),
        ({"image": {"digest": "sha256:short"}}, "digest"),
        ({"image": {"pullPolicy": "Sometimes"}}, "pullPolicy"),
        ({"config": {"database": {"url": "sqlite://"}}}, "database"),
        ({"config": {"server": {"port": 9000}}}, "port"),
        ({"config": {"models": [{"name": "a", "backend": "hosted", "api_key": SECRET}]}}, "api_key"),
        ({"config": {"models": [{"name": "a", "backend": "azure"}]}}, "backend"),
        ({"persistence": {"size": "lots"}}, "size"),
        ({"service": {"port": 0}}, "port"),
        ({"preStopSeconds": 0}, "preStopSeconds"),
        ({"podSecurityContext": {"runAsUser": 0}}, "podSecurityContext"),
    ],
)
def test_the_schema_refuses_what_it_does_not_know(chart: helm.Chart, values: Manifest, named: str) -> None:
    with pytest.raises(helm.HelmValuesError, match=named):
        chart.validate_schema(values)


def test_a_default_that_the_schema_does_not_describe_does_not_exist(chart: helm.Chart) -> None:
    def undescribed(values: Manifest, schema: Manifest, path: str) -> Iterator[str]:
        for key, value in values.items():
            described = schema.get("properties", {}).get(key)
            if described is None:
                yield f"{path}{key}"
            elif isinstance(value, dict) and described.get("additionalProperties") is False:
                yield from undescribed(value, described, f"{path}{key}.")

    assert chart.schema is not None
    assert list(undescribed(chart.values, chart.schema, "")) == []


def test_the_schema_of_config_is_the_schema_of_the_gateway(chart: helm.Chart) -> None:
    """A field that the gateway learns must reach the chart, which would otherwise refuse it."""
    assert chart.schema is not None
    of_the_chart = {
        Settings: {"database"},
        ServerSettings: {"host", "port", "leave_s", "drain_s"},
        AdminSettings: {"host"},
    }
    described = list(sections(Settings, chart.schema["properties"]["config"]))
    for section, properties in described:
        assert set(properties) == set(section.model_fields) - of_the_chart.get(section, set()), section.__name__
    assert {section for section, _ in described} >= {PolicySettings, VerifierSettings, BreakerSettings, BillingSettings}


def sections(section: type[Section], schema: Manifest) -> Iterator[tuple[type[Section], Manifest]]:
    """Every section of the configuration file, each with the properties that the chart's schema gives it."""
    yield section, schema["properties"]
    for field, described in schema["properties"].items():
        for inner in _sections_in(section.model_fields[field].annotation):
            yield from sections(inner, described.get("items", described.get("additionalProperties") or described))


def _sections_in(annotation: object) -> list[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [inner for part in get_args(annotation) for inner in _sections_in(part)]


@pytest.mark.parametrize("example", ["bare", "hosted"])
def test_the_gateway_understands_the_config_that_the_chart_writes(
    chart: helm.Chart, example: str, tmp_path: Path
) -> None:
    file = tmp_path / "spillway.yaml"
    file.write_text(one(chart, "ConfigMap", values_of(example))["data"]["spillway.yaml"])
    settings = load_settings(file, serving=False)  # the artifacts' claim is not here
    assert settings.database_url == "sqlite+aiosqlite:////var/lib/spillway/spillway.db"
    assert settings.server.drain_s == settings.server.request_timeout_s
    assert settings.default is not None


def test_an_admin_port_is_served_watched_and_open_to_whom_the_values_say(chart: helm.Chart) -> None:
    peers = [{"podSelector": {"matchLabels": {"app": "prometheus"}}}]
    values = {
        "config": {"admin": {"port": 9090}},
        "networkPolicy": {"enabled": True, "adminFrom": peers},
        "serviceMonitor": {"enabled": True},
    }
    config = yaml.safe_load(one(chart, "ConfigMap", values)["data"]["spillway.yaml"])
    assert config["admin"] == {"host": "0.0.0.0", "port": 9090}
    container = one(chart, "Deployment", values)["spec"]["template"]["spec"]["containers"][0]
    assert [(port["name"], port["containerPort"]) for port in container["ports"]] == [("http", 8080), ("admin", 9090)]
    ports = one(chart, "Service", values)["spec"]["ports"]
    assert [(port["name"], port["port"]) for port in ports] == [("http", 80), ("admin", 9090)]
    assert [end["port"] for end in one(chart, "ServiceMonitor", values)["spec"]["endpoints"]] == ["admin"]
    rules = one(chart, "NetworkPolicy", values)["spec"]["ingress"]
    assert [[port["port"] for port in rule["ports"]] for rule in rules] == [["http"], ["admin"]]
    assert rules[1]["from"] == peers
    closed = values | {"networkPolicy": {"enabled": True}}
    assert len(one(chart, "NetworkPolicy", closed)["spec"]["ingress"]) == 1


def test_the_notes_say_what_to_do_next(chart: helm.Chart) -> None:
    notes = chart.render(name="spillway", namespace="llm")["spillway/templates/NOTES.txt"]
    assert "No provider key is given" in notes
    assert "spillway keys create" in notes
    assert "kubectl -n llm port-forward service/spillway 8080:80" in notes
    hosted = values_of("hosted")
    notes = chart.render(hosted, name="spillway", namespace="llm")["spillway/templates/NOTES.txt"]
    assert "No provider key is given" not in notes
    assert "https://llm.example.com/v1" in notes
