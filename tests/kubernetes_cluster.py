"""A Kubernetes cluster as Helm sees one: objects in memory, refusals, and what becomes of workloads.

Knows the refusals that releases meet (what is immutable, what does not exist, a pod that is not *restricted*) and the
three controllers that Helm waits for. Knows no defaults, no scheduling, no containers: a pod whose references exist
runs, and ends as the test says. Jobs and bare pods end only once somebody looks: who does not wait is found out.
"""

import copy
import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.kubernetes_pods import forbidden, missing

Manifest = dict[str, Any]


class Kind(NamedTuple):
    """One kind of object and where the API has it."""

    group_version: str
    plural: str
    name: str
    namespaced: bool = True


BUILT_IN = (
    Kind("v1", "namespaces", "Namespace", namespaced=False),
    Kind("v1", "configmaps", "ConfigMap"),
    Kind("v1", "secrets", "Secret"),
    Kind("v1", "services", "Service"),
    Kind("v1", "serviceaccounts", "ServiceAccount"),
    Kind("v1", "persistentvolumeclaims", "PersistentVolumeClaim"),
    Kind("v1", "pods", "Pod"),
    Kind("apps/v1", "deployments", "Deployment"),
    Kind("apps/v1", "replicasets", "ReplicaSet"),
    Kind("apps/v1", "statefulsets", "StatefulSet"),
    Kind("batch/v1", "jobs", "Job"),
    Kind("batch/v1", "cronjobs", "CronJob"),
    Kind("autoscaling/v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler"),
    Kind("policy/v1", "poddisruptionbudgets", "PodDisruptionBudget"),
    Kind("networking.k8s.io/v1", "ingresses", "Ingress"),
    Kind("networking.k8s.io/v1", "networkpolicies", "NetworkPolicy"),
)
OF_OPERATORS = (
    Kind("gateway.networking.k8s.io/v1", "httproutes", "HTTPRoute"),
    Kind("monitoring.coreos.com/v1", "servicemonitors", "ServiceMonitor"),
    Kind("monitoring.coreos.com/v1", "podmonitors", "PodMonitor"),
    Kind("monitoring.coreos.com/v1", "prometheusrules", "PrometheusRule"),
    Kind("keda.sh/v1alpha1", "scaledobjects", "ScaledObject"),
)
IMMUTABLE = {
    "Deployment": ("selector",),
    "StatefulSet": ("selector", "serviceName", "volumeClaimTemplates", "podManagementPolicy"),
    "Job": ("template", "selector", "completions"),
    "PersistentVolumeClaim": ("accessModes", "storageClassName", "volumeName"),
}
KEPT_BY_THE_SERVER = ("uid", "creationTimestamp", "generation", "resourceVersion")


class Refused(Exception):
    """The API server says no: a status code, its reason and a message."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason = code, reason


@dataclass
class Cluster:
    """Objects by kind, namespace and name; `failing` names the Jobs and Pods that are to fail."""

    kinds: tuple[Kind, ...] = BUILT_IN
    failing: set[str] = field(default_factory=set)
    journal: list[str] = field(default_factory=list)
    objects: dict[tuple[Kind, str, str], Manifest] = field(default_factory=dict)
    events: list[tuple[int, str, Kind, Manifest]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    closed: bool = False
    version: int = 100

    def add(self, kind: str, name: str, namespace: str = "llm", **content: Any) -> None:
        """What the chart's user brings along, as `kubectl create` would."""
        found = self.kind(kind)
        self.create(found, namespace if found.namespaced else "", {"metadata": {"name": name}, **content})

    def kind(self, name: str) -> Kind:
        """The kind of this name."""
        return next(kind for kind in self.kinds if kind.name == name)

    def names(self, kind: str) -> list[str]:
        """The names of all objects of a kind."""
        return sorted(name for found, _, name in self.objects if found.name == kind)

    def one(self, kind: str, name: str, namespace: str = "llm") -> Manifest:
        """The object as it stands; a KeyError where there is none."""
        return self.objects[self.kind(kind), namespace, name]

    def did(self, verb: str) -> list[str]:
        """What was done with this verb, in order: `Kind/name`, without Helm's own records."""
        return [line.removeprefix(f"{verb} ") for line in self.journal if line.startswith(f"{verb} ")]

    def get(self, kind: Kind, namespace: str, name: str) -> Manifest:
        """One object as it stands."""
        with self.changed:
            self._look(kind)
            if (found := self.objects.get((kind, namespace, name))) is None:
                raise Refused(404, "NotFound", f'{kind.plural} "{name}" not found')
            return copy.deepcopy(found)

    def list(self, kind: Kind, namespace: str) -> Sequence[Manifest]:
        """The objects of a kind in a namespace, or in all of them."""
        with self.changed:
            self._look(kind)
            found = [it for (of, at, _), it in self.objects.items() if of == kind and namespace in ("", at)]
            return copy.deepcopy(found)

    def create(self, kind: Kind, namespace: str, manifest: Manifest) -> Manifest:
        """A new object; its name must be free and its namespace must exist."""
        name = manifest["metadata"]["name"]
        with self.changed:
            if (kind, namespace, name) in self.objects:
                raise Refused(409, "AlreadyExists", f'{kind.plural} "{name}" already exists')
            if kind.namespaced and (self.kind("Namespace"), "", namespace) not in self.objects:
                raise Refused(404, "NotFound", f'namespaces "{namespace}" not found')
            if kind.name == "Pod" and (why := forbidden(manifest["spec"])):
                raise Refused(403, "Forbidden", f'pods "{name}" is forbidden: violates PodSecurity "restricted": {why}')
            return self._write("create", kind, namespace, manifest, None)

    def replace(self, kind: Kind, namespace: str, name: str, manifest: Manifest) -> Manifest:
        """The object becomes this one, but for what may not change."""
        with self.changed:
            if (before := self.objects.get((kind, namespace, name))) is None:
                raise Refused(404, "NotFound", f'{kind.plural} "{name}" not found')
            for part in IMMUTABLE.get(kind.name, ()):
                if before["spec"].get(part) != manifest["spec"].get(part):
                    raise Refused(422, "Invalid", f'{kind.name} "{name}" is invalid: spec.{part}: field is immutable')
            if {**before, "metadata": self._owned(before)} == {**before, **manifest, "metadata": self._owned(manifest)}:
                return copy.deepcopy(before)
            return self._write("update", kind, namespace, manifest, before)

    def apply(self, kind: Kind, namespace: str, name: str, manifest: Manifest) -> tuple[Manifest, bool]:
        """Server-side apply by the one owner there is, and whether the object is new."""
        if (kind, namespace, name) in self.objects:
            return self.replace(kind, namespace, name, manifest), False
        return self.create(kind, namespace, manifest), True

    def delete(self, kind: Kind, namespace: str, name: str) -> Manifest:
        """The object goes, at once."""
        with self.changed:
            if (gone := self.objects.pop((kind, namespace, name), None)) is None:
                raise Refused(404, "NotFound", f'{kind.plural} "{name}" not found')
            self._tell("delete", "DELETED", kind, gone)
            return gone

    def close(self) -> None:
        """Whoever watches is let go."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def _owned(self, manifest: Manifest) -> Manifest:
        return {key: value for key, value in manifest["metadata"].items() if key not in KEPT_BY_THE_SERVER}

    def _write(self, verb: str, kind: Kind, namespace: str, manifest: Manifest, before: Manifest | None) -> Manifest:
        written = copy.deepcopy(manifest) | {"apiVersion": kind.group_version, "kind": kind.name}
        old: Manifest = before["metadata"] if before else {"uid": str(uuid.uuid4()), "generation": 0}
        kept = {"uid": old["uid"], "creationTimestamp": "2026-01-01T00:00:00Z", "generation": old["generation"] + 1}
        written["metadata"] |= kept | ({"namespace": namespace} if namespace else {})
        if before and "status" in before:
            written.setdefault("status", before["status"])
        self.objects[kind, namespace, written["metadata"]["name"]] = written
        self._tell(verb, "MODIFIED" if before else "ADDED", kind, written)
        self._control(kind, namespace, written)
        return copy.deepcopy(written)

    def _tell(self, verb: str, event: str, kind: Kind, manifest: Manifest) -> None:
        self.version += 1
        manifest["metadata"]["resourceVersion"] = str(self.version)
        if not str(manifest.get("type", "")).startswith("helm.sh/"):
            self.journal.append(f"{verb} {kind.name}/{manifest['metadata']['name']}")
        self.events.append((self.version, event, kind, copy.deepcopy(manifest)))
        self.changed.notify_all()

    def _control(self, kind: Kind, namespace: str, manifest: Manifest) -> None:
        if kind.name == "PersistentVolumeClaim":
            manifest["status"] = {"phase": "Bound"}
        elif kind.name in ("Deployment", "StatefulSet"):
            manifest["status"] = _rolled_out(manifest, self._why_not(namespace, manifest["spec"]["template"]["spec"]))
        elif kind.name == "Job" and "conditions" not in manifest.get("status", {}):
            manifest["status"] = {"active": 1}
        elif kind.name == "Pod":
            manifest["status"] = {"phase": "Pending"}
        else:
            return
        self.events[-1] = (*self.events[-1][:3], copy.deepcopy(manifest))

    def _look(self, kind: Kind) -> None:
        """Who looks at Jobs or Pods finds them ended."""
        if kind.name not in ("Job", "Pod"):
            return
        for (of, namespace, name), manifest in list(self.objects.items()):
            ended = manifest.get("status", {}).get("phase", "") != "Pending" and "active" not in manifest.get(
                "status", {}
            )
            if of != kind or ended:
                continue
            spec = manifest["spec"] if kind.name == "Pod" else manifest["spec"]["template"]["spec"]
            why = self._why_not(namespace, spec) or ("it was told to fail" if name in self.failing else "")
            manifest["status"] = _pod_ended(why) if kind.name == "Pod" else _job_ended(why)
            self._tell("fail" if why else "finish", "MODIFIED", kind, manifest)

    def _why_not(self, namespace: str, spec: Manifest) -> str:
        """Why a pod would not start: a reference that leads nowhere, or a security context that is not allowed."""
        have = {(kind.name, name) for kind, at, name in self.objects if at == namespace}
        return forbidden(spec) or ", ".join(f"{kind} {name} not found" for kind, name in missing(spec, have))


def _rolled_out(deployment: Manifest, why_not: str) -> Manifest:
    wanted = deployment["spec"].get("replicas", 1)
    ready = 0 if why_not else wanted
    available = {"type": "Available", "status": "False" if why_not else "True", "message": why_not}
    progressing = {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}
    return {
        "observedGeneration": deployment["metadata"]["generation"],
        "replicas": wanted,
        "updatedReplicas": wanted,
        "readyReplicas": ready,
        "availableReplicas": ready,
        "currentReplicas": ready,  # a StatefulSet's
        "currentRevision": "1",
        "updateRevision": "1",
        "conditions": [available, progressing],
    }


def _job_ended(why: str) -> Manifest:
    condition = {"type": "Failed" if why else "Complete", "status": "True", "reason": "PodFailed", "message": why}
    return {("failed" if why else "succeeded"): 1, "conditions": [condition]}


def _pod_ended(why: str) -> Manifest:
    return {"phase": "Failed" if why else "Succeeded", "message": why}
