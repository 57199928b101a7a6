"""The chart as Helm's own client installs, tests, upgrades, rolls back and removes it. No cluster but one in memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import helm_python as helm
import pytest
import yaml

from tests.charts import CHART, CI_VALUES, Manifest, manifests, pods
from tests.kubernetes_api import serving
from tests.kubernetes_cluster import BUILT_IN, OF_OPERATORS, Cluster
from tests.kubernetes_pods import references

STORES = {"database": {"existingSecret": "pg"}, "redis": {"existingSecret": "redis"}, "replicas": 2}
NAME, NAMESPACE, PATIENCE_S = "spillway", "llm", 60
MIGRATION = "Job/spillway-migrate"


class Releases:
    """Helm's commands for one release, each waiting as `--wait` does."""

    def __init__(self, config: helm.Config) -> None:
        self.config = config

    def install(self, values: Manifest) -> str:
        done = self.config.install(CHART, NAME, values, wait="watcher", timeout=PATIENCE_S)
        return str(done["status"])

    def upgrade(self, values: Manifest) -> str:
        done = self.config.upgrade(CHART, NAME, values, wait="watcher", timeout=PATIENCE_S)
        return str(done["status"])

    def test(self) -> str:
        return str(self.config.test(NAME, logs=True, timeout=PATIENCE_S)["logs"])

    def rollback(self, to: int) -> None:
        self.config.rollback(NAME, version=to, wait="watcher", timeout=PATIENCE_S)

    def uninstall(self) -> None:
        self.config.uninstall(NAME, wait="watcher", timeout=PATIENCE_S)

    def history(self) -> list[str]:
        return [revision["status"] for revision in self.config.history(NAME)]


@contextmanager
def cluster_with(*brought: tuple[str, str], operators: bool = False) -> Iterator[tuple[Cluster, Releases]]:
    """A cluster with the namespace, the objects that a user brings along, and Helm speaking to it."""
    cluster = Cluster(kinds=BUILT_IN + (OF_OPERATORS if operators else ()))
    cluster.add("Namespace", NAMESPACE)
    for kind, name in brought:
        cluster.add(kind, name, spec={})
    cluster.journal.clear()
    with serving(cluster) as url, helm.Config(kube_apiserver=url, namespace=NAMESPACE) as config:
        yield cluster, Releases(config)


@pytest.fixture
def stores() -> Iterator[tuple[Cluster, Releases]]:
    with cluster_with(("Secret", "pg"), ("Secret", "redis")) as found:
        yield found


def brought_along(values: Manifest) -> set[tuple[str, str]]:
    """What the pods of a release refer to and the chart does not make."""
    with helm.Chart.load(CHART) as chart:
        rendered = manifests(chart, values, NAME)
    made = {(manifest["kind"], manifest["metadata"]["name"]) for manifest in rendered}
    return {found for manifest in rendered for spec in pods(manifest) for found in references(spec)} - made


@pytest.mark.parametrize("path", CI_VALUES, ids=lambda path: path.stem)
def test_every_example_is_installed_tested_upgraded_rolled_back_and_removed(path: Path) -> None:
    values = yaml.safe_load(path.read_text()) or {}
    brought = brought_along(values)
    with cluster_with(*brought, operators=True) as (cluster, releases):
        assert releases.install(values) == "deployed"
        for kind in ("Deployment", "StatefulSet"):
            for name in cluster.names(kind):
                (available, _) = cluster.one(kind, name)["status"]["conditions"]
                assert available["status"] == "True", available["message"]
        assert "spillway-test has spoken" in releases.test()
        assert releases.upgrade(values | {"podLabels": {"revision": "two"}}) == "deployed"
        assert cluster.one("Deployment", NAME)["spec"]["template"]["metadata"]["labels"]["revision"] == "two"
        releases.rollback(to=1)
        assert "revision" not in cluster.one("Deployment", NAME)["spec"]["template"]["metadata"]["labels"]
        assert releases.history() == ["superseded", "superseded", "deployed"]
        releases.uninstall()
        left = {(kind.name, name) for kind, _, name in cluster.objects}
        claims = {("PersistentVolumeClaim", name) for name in cluster.names("PersistentVolumeClaim")}
        assert left == brought | claims | {("Namespace", NAMESPACE)}


def test_a_bare_release_leaves_its_ledger_and_takes_it_up_again() -> None:
    with cluster_with() as (cluster, releases):
        releases.install({})
        made = cluster.did("create")
        assert made.index("PersistentVolumeClaim/spillway-data") < made.index("Deployment/spillway")
        ledger = cluster.one("PersistentVolumeClaim", "spillway-data")["metadata"]["uid"]
        releases.uninstall()
        assert cluster.names("Deployment") == []
        releases.install({})
        assert cluster.one("PersistentVolumeClaim", "spillway-data")["metadata"]["uid"] == ledger


def test_a_migration_ends_before_anything_else_begins(stores: tuple[Cluster, Releases]) -> None:
    cluster, releases = stores
    releases.install(STORES)
    assert cluster.journal[:3] == [f"create {MIGRATION}", f"finish {MIGRATION}", f"delete {MIGRATION}"]
    assert f"create Deployment/{NAME}" in cluster.journal[3:]
    cluster.journal.clear()
    releases.upgrade(STORES | {"replicas": 3})
    migrated = [f"create {MIGRATION}", f"finish {MIGRATION}", f"delete {MIGRATION}"]
    assert cluster.journal == [*migrated, f"update Deployment/{NAME}"]


def test_a_failing_migration_stops_an_upgrade_before_anything_is_changed(stores: tuple[Cluster, Releases]) -> None:
    cluster, releases = stores
    releases.install(STORES)
    before = {
        key: found["metadata"]["resourceVersion"] for key, found in cluster.objects.items() if "helm" not in key[2]
    }
    cluster.journal.clear()
    cluster.failing.add("spillway-migrate")
    with pytest.raises(helm.HelmReleaseError, match=r"pre-upgrade hooks failed: resource Job/llm/spillway-migrate"):
        releases.upgrade(STORES | {"replicas": 3, "config": {"cache": {"enabled": False}}})
    assert cluster.journal == [f"create {MIGRATION}", f"fail {MIGRATION}"]
    after = {
        key: found["metadata"]["resourceVersion"] for key, found in cluster.objects.items() if "helm" not in key[2]
    }
    assert {key: after[key] for key in before} == before
    assert releases.history() == ["deployed", "failed"]

    cluster.failing.clear()
    assert releases.upgrade(STORES | {"replicas": 3}) == "deployed"
    assert cluster.one("Deployment", NAME)["spec"]["replicas"] == 3


def test_a_failing_migration_leaves_nothing_of_an_install_but_itself(stores: tuple[Cluster, Releases]) -> None:
    cluster, releases = stores
    cluster.failing.add("spillway-migrate")
    with pytest.raises(helm.HelmReleaseError, match="failed pre-install: resource Job/llm/spillway-migrate"):
        releases.install(STORES)
    assert cluster.did("create") == [MIGRATION]


def test_a_migration_without_its_secret_says_so_and_stops() -> None:
    with cluster_with(("Secret", "redis")) as (cluster, releases):
        with pytest.raises(helm.HelmReleaseError, match="failed pre-install: resource Job/llm/spillway-migrate"):
            releases.install(STORES)
        (condition,) = cluster.one("Job", "spillway-migrate")["status"]["conditions"]
        assert condition["message"] == "Secret pg not found"
        assert cluster.did("create") == [MIGRATION]


def test_a_rollback_brings_the_pods_back_and_leaves_the_schema(stores: tuple[Cluster, Releases]) -> None:
    cluster, releases = stores
    releases.install(STORES)
    first = cluster.one("Deployment", NAME)["spec"]
    releases.upgrade(STORES | {"config": {"cache": {"enabled": False}}, "preStopSeconds": 20})
    assert cluster.one("Deployment", NAME)["spec"] != first
    cluster.journal.clear()
    releases.rollback(to=1)
    assert cluster.one("Deployment", NAME)["spec"] == first
    assert cluster.did("create") == []


def test_a_gateway_that_does_not_answer_fails_helm_test() -> None:
    with cluster_with() as (cluster, releases):
        releases.install({})
        cluster.failing.add("spillway-test")
        with pytest.raises(helm.HelmReleaseError, match="Pod/llm/spillway-test"):
            releases.test()
        assert cluster.did("fail") == ["Pod/spillway-test"]


def test_kinds_of_operators_are_asked_for_or_absent() -> None:
    monitored = {"serviceMonitor": {"enabled": True}}
    with cluster_with() as (cluster, releases):
        releases.install({})
        with pytest.raises(helm.HelmReleaseError, match="could not find the requested resource"):
            releases.upgrade(monitored)
    with cluster_with(operators=True) as (cluster, releases):
        releases.install(monitored)
        assert cluster.names("ServiceMonitor") == [NAME]


@pytest.mark.parametrize(
    ("values", "refusal"),
    [
        ({"nameOverride": "other", "fullnameOverride": NAME}, "spec.selector: field is immutable"),
        ({"persistence": {"storageClass": "fast"}}, "spec.storageClassName: field is immutable"),
        (
            {"extraObjects": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "dta": {}}]},
            "strict decoding error: .*dta",
        ),
        (
            {"extraObjects": [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "root"}, "spec": {"containers": [
                {"name": "shell", "image": "shell"},
            ]}}]},
            'violates PodSecurity "restricted"',
        ),
    ],
    ids=["selector", "claim", "misspelt", "root"],
)  # fmt: skip
def test_the_cluster_of_these_tests_refuses_what_kubernetes_would(values: Manifest, refusal: str) -> None:
    with cluster_with() as (_, releases):
        releases.install({})
        with pytest.raises(helm.HelmReleaseError, match=refusal):
            releases.upgrade(values)
