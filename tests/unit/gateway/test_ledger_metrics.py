"""The ledger's counters as metrics, read when they are asked for."""

from typing import cast

from gateway.ledger.alarms import LedgerCounts
from gateway.ledger.writer import LedgerWriter
from gateway.ledger_metrics import LedgerMetrics
from gateway.telemetry.metrics import Telemetry


class Counted:
    counts = LedgerCounts()
    unsettled = 3
    spooled_bytes = 512


def test_counters_are_read_at_the_moment_of_asking() -> None:
    telemetry, ledger = Telemetry(), Counted()
    telemetry.register(LedgerMetrics(cast("LedgerWriter", ledger)))
    ledger.counts.unknown_prices += 2
    text = telemetry.render()[0].decode()
    assert "spillway_ledger_unknown_prices_total 2.0" in text
    assert "spillway_ledger_unsettled 3.0" in text
    assert "spillway_ledger_spooled_bytes 512.0" in text
