"""How loaded an inference engine is, by its own metrics: those of vLLM, SGLang and llama.cpp, in their older forms too.

Knows their names and Prometheus' text format. Asks nobody.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

# What an engine calls each fact, the newest name first. A server with several engines tells each of them.
_NAMES: Mapping[str, Sequence[str]] = {
    "running": ("vllm:num_requests_running", "sglang:num_running_reqs", "llamacpp:requests_processing"),
    "waiting": ("vllm:num_requests_waiting", "sglang:num_queue_reqs", "llamacpp:requests_deferred"),
    "kv_use": (
        "vllm:kv_cache_usage_perc",
        "vllm:gpu_cache_usage_perc",
        "sglang:token_usage",
        "llamacpp:kv_cache_usage_ratio",
    ),
    "prompt_tokens": ("vllm:prompt_tokens_total", "sglang:prompt_tokens_total", "llamacpp:prompt_tokens_total"),
    "generated_tokens": (
        "vllm:generation_tokens_total",
        "sglang:generation_tokens_total",
        "llamacpp:tokens_predicted_total",
    ),
}
_BESIDE: Mapping[str, str] = {"prompt_tokens": "llamacpp:prompt_tokens_cached_total"}  # what it leaves out of the other


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One look at an engine. What it does not tell is None.

    running, waiting : requests, whoever sent them.   kv_use : of the memory for keys and values, from 0 to 1.
    prompt_tokens, generated_tokens : since it started.   at : by ``time.monotonic()``.
    """

    running: int
    waiting: int
    kv_use: float | None = None
    prompt_tokens: int | None = None
    generated_tokens: int | None = None
    at: float = field(default_factory=time.monotonic)


def load_of(metrics: str, model: str | None = None) -> Load | None:
    """What an engine's metrics tell; None where they tell no requests, or are no metrics.

    model : only of this one, where they name several.
    """
    try:
        found = _found(metrics, model)
    except (ValueError, KeyError, IndexError):  # what the parser raises on other text
        return None
    running, waiting = found.get("running"), found.get("waiting")
    if running is None or waiting is None:
        return None
    kv_use = found.get("kv_use")
    return Load(
        running=sum(map(int, running)),
        waiting=sum(map(int, waiting)),
        kv_use=max(kv_use) if kv_use else None,  # the fullest engine of several is the one that will not take more
        prompt_tokens=_total(found.get("prompt_tokens")),
        generated_tokens=_total(found.get("generated_tokens")),
    )


def multiplier(use: float, most: float) -> float:
    """By how much a call is dearer than on an idle engine: 1 / (1 - use), as waits in a queue grow; ``most`` at most.

    use : the share of the engine that is taken; from 1 on, others wait.
    """
    return most if use >= 1.0 else min(most, 1.0 / (1.0 - max(0.0, use)))


def _found(metrics: str, model: str | None) -> Mapping[str, list[float]]:
    told: dict[str, list[tuple[str | None, float]]] = {}
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            if math.isfinite(sample.value) and sample.value >= 0:
                told.setdefault(sample.name, []).append((sample.labels.get("model_name"), sample.value))
    found: dict[str, list[float]] = {}
    for fact, names in _NAMES.items():
        samples = next((told[name] for name in names if name in told), None)
        if samples is None:
            continue
        mine = [value for name, value in samples if name == model]
        found[fact] = mine or [value for _, value in samples]
        if fact in _BESIDE:
            found[fact] = found[fact] + [value for _, value in told.get(_BESIDE[fact], ())]
    return found


def _total(values: Sequence[float] | None) -> int | None:
    return None if values is None else int(sum(values))
