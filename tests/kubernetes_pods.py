"""What a pod's spec asks of its namespace, and what the *restricted* pod security standard forbids."""

from collections.abc import Iterator, Set
from typing import Any

Manifest = dict[str, Any]

CONFIDED = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


def containers(spec: Manifest) -> list[Manifest]:
    """Every container of a pod, those of its beginning first."""
    return [*spec.get("initContainers", []), *spec["containers"]]


def references(spec: Manifest) -> Iterator[tuple[str, str]]:
    """The objects, by kind and name, that must exist before the pod can start."""
    if account := spec.get("serviceAccountName"):
        yield "ServiceAccount", account
    yield from (("Secret", entry["name"]) for entry in spec.get("imagePullSecrets", []))
    for volume in spec.get("volumes", []):
        for key, kind, name in (
            ("configMap", "ConfigMap", "name"),
            ("secret", "Secret", "secretName"),
            ("persistentVolumeClaim", "PersistentVolumeClaim", "claimName"),
        ):
            if key in volume and not volume[key].get("optional"):
                yield kind, volume[key][name]
    for container in containers(spec):
        sources = [entry.get("valueFrom", {}) for entry in container.get("env", [])] + container.get("envFrom", [])
        for source in sources:
            for key, kind in (("secret", "Secret"), ("configMap", "ConfigMap")):
                named = source.get(f"{key}KeyRef") or source.get(f"{key}Ref")
                if named and not named.get("optional"):
                    yield kind, named["name"]


def missing(spec: Manifest, have: Set[tuple[str, str]]) -> list[tuple[str, str]]:
    """What the pod refers to and its namespace does not have."""
    return sorted(set(references(spec)) - have)


def forbidden(spec: Manifest) -> str:
    """The first thing about a pod that the restricted standard does not allow; empty where it may run."""
    pod = spec.get("securityContext", {})
    if any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")):
        return "host namespaces"
    if any(not CONFIDED & volume.keys() for volume in spec.get("volumes", [])):
        return "restricted volume types"
    for container in containers(spec):
        own = container.get("securityContext", {})
        if own.get("allowPrivilegeEscalation") is not False:
            return f"allowPrivilegeEscalation != false ({container['name']})"
        if "ALL" not in own.get("capabilities", {}).get("drop", []):
            return f"unrestricted capabilities ({container['name']})"
        if own.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True:
            return f"runAsNonRoot != true ({container['name']})"
        if own.get("runAsUser", pod.get("runAsUser")) == 0:
            return f"runAsUser=0 ({container['name']})"
        if own.get("seccompProfile", pod.get("seccompProfile", {})).get("type") not in ("RuntimeDefault", "Localhost"):
            return f"seccompProfile ({container['name']})"
    return ""
