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


def _tasks() -> int:
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:  # asked outside the loop
        return 0
