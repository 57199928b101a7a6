"""The metrics of what is under way: calls, queues and breakers by deployment, tasks and open files of this process.

Knows pools and how to count. Decides nothing; reads when it is asked, so that it costs nothing in between.
"""

import asyncio
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.doorway import Doorway
from router.backends.pool import Pool

_STATES = {"closed": 0, "half_open": 1, "open": 2}
_FILES = Path("/proc/self/fd")


class RuntimeMetrics(Collector):
    """pools : those that serve at the moment, by model."""

    def __init__(self, pools: Callable[[], Mapping[str, Pool]], door: Doorway) -> None:
        self._pools, self._door = pools, door

    def collect(self) -> Iterable[Metric]:
        """One gauge for each fact."""
        labels = ("model", "deployment")
        breaker = GaugeMetricFamily("spillway_breaker_state", "0 closed, 1 half open, 2 open", labels=labels)
        running = GaugeMetricFamily("spillway_calls_in_flight", "Upstream calls under way", labels=labels)
        waiting = GaugeMetricFamily("spillway_calls_waiting", "Calls that wait for their turn", labels=("model",))
        for model, pool in self._pools().items():
            waiting.add_metric((model,), pool.waiting)
            for one in pool.deployments:
                breaker.add_metric((model, one.name), _STATES[one.breaker.state])
                running.add_metric((model, one.name), one.running)
        yield from (breaker, running, waiting)
        yield from self._engines()
        yield GaugeMetricFamily(
            "spillway_requests_waiting", "Requests that wait to be served", value=self._door.waiting
        )
        shed = "Requests turned away because too many were under way"
        yield CounterMetricFamily("spillway_requests_shed", shed, value=self._door.refused)
        live = "Blocks of memory that Python holds: rises with a leak, and not with what the allocator keeps in reserve"
        yield GaugeMetricFamily("spillway_allocated_blocks", live, value=sys.getallocatedblocks())
        yield GaugeMetricFamily("spillway_tasks", "Tasks of the event loop", value=_tasks())
        if _FILES.is_dir():
            files = sum(1 for _ in _FILES.iterdir())
            yield GaugeMetricFamily("spillway_open_files", "Open files and sockets", value=files)

    def _engines(self) -> Iterable[Metric]:
        """Of engines that tell their load."""
        labels = ("model", "deployment")
        running = GaugeMetricFamily("spillway_engine_requests_running", "By the engine's own account", labels=labels)
        waiting = GaugeMetricFamily("spillway_engine_requests_waiting", "By the engine's own account", labels=labels)
        kv_use = GaugeMetricFamily("spillway_engine_kv_use_ratio", "Of its memory for keys and values", labels=labels)
        said = "Times that a tier was passed by, its engines having requests waiting"
        skipped = CounterMetricFamily("spillway_tier_passed_by", said, labels=("model",))
        for model, pool in self._pools().items():
            skipped.add_metric((model,), pool.skipped)
            for one in pool.deployments:
                load = one.fresh_load
                if load is not None:
                    running.add_metric((model, one.name), load.running)
                    waiting.add_metric((model, one.name), load.waiting)
                    if load.kv_use is not None:
                        kv_use.add_metric((model, one.name), load.kv_use)
        yield from (running, waiting, kv_use, skipped)


def _tasks() -> int:
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:  # asked outside the loop
        return 0
