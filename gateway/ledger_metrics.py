"""The ledger's own counters, for Prometheus.

Knows which of them are alarms by name. Reads them when it is asked, so that the ledger knows nothing of metrics.
"""

from collections.abc import Iterator
from dataclasses import asdict

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.ledger.writer import LedgerWriter


class LedgerMetrics(Collector):
    """``spillway_ledger_…``"""

    def __init__(self, ledger: LedgerWriter) -> None:
        self._ledger = ledger

    def collect(self) -> Iterator[Metric]:
        """As Prometheus' client asks for it."""
        for name, value in asdict(self._ledger.counts).items():
            yield CounterMetricFamily(f"spillway_ledger_{name}", f"Ledger: {name.replace('_', ' ')}", value=value)
        spooled = self._ledger.spooled_bytes
        yield GaugeMetricFamily(
            "spillway_ledger_spooled_bytes", "Ledger: in the spool, for the database", value=spooled
        )
        unsettled = self._ledger.unsettled
        yield GaugeMetricFamily("spillway_ledger_unsettled", "Ledger: held in memory, not yet on disk", value=unsettled)
