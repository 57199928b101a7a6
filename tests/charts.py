"""The chart, rendered: its manifests as Helm would send them. Knows no cluster."""

from pathlib import Path
from typing import Any

import helm_python as helm
import yaml

CHART = Path(__file__).parents[1] / "helm" / "spillway"
CI_VALUES = sorted((CHART / "ci").glob("*.yaml"))

Manifest = dict[str, Any]


def values_of(name: str) -> Manifest:
    """One of the examples beside the chart, by its name without `-values.yaml`."""
    return yaml.safe_load((CHART / "ci" / f"{name}-values.yaml").read_text()) or {}


def manifests(chart: helm.Chart, values: Manifest | None = None, name: str = "spillway") -> list[Manifest]:
    """Everything that a release of this name makes, hooks and tests included."""
    rendered = chart.render(values, name=name, namespace="llm")
    streams = (yaml.safe_load_all(text) for path, text in rendered.items() if path.endswith(".yaml"))
    return [document for stream in streams for document in stream if document]


def named(found: list[Manifest], kind: str, name: str) -> Manifest:
    """The one manifest of this kind and name."""
    (manifest,) = (it for it in found if (it["kind"], it["metadata"]["name"]) == (kind, name))
    return manifest


def pods(manifest: Manifest) -> list[Manifest]:
    """The pod specs in a manifest: of a Pod, a workload, or a CronJob's Job."""
    spec = manifest.get("spec", {})
    if manifest["kind"] == "Pod":
        return [spec]
    template = spec.get("jobTemplate", {}).get("spec", spec).get("template", {})
    return [template["spec"]] if "spec" in template else []
