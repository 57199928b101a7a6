"""The arithmetic of gateway/CAPACITY.md, and that the page says what the committed constants come to."""

from dataclasses import replace

import pytest

from tests.benchmarks.capacity import (
    PAGE,
    Assumed,
    Measured,
    Way,
    calls_each,
    most_per_s,
    needs,
    one_budget_calls_per_s,
    read,
    tables,
    written,
)

HIT = Way(cpu_ms=1, postgres_cpu_ms=0.5, transactions=0.1, wal_bytes=1_000, redis_commands=1, redis_bytes=100)
MISS = Way(cpu_ms=6, postgres_cpu_ms=1, transactions=0.5, wal_bytes=4_000, redis_commands=3, redis_bytes=1_000)
CASCADE = Way(cpu_ms=10, postgres_cpu_ms=2, transactions=1, wal_bytes=8_000, redis_commands=3, redis_bytes=1_000)
MEASURED = Measured(
    date="2026-01-02",
    machine="a machine",
    hit=HIT,
    miss=MISS,
    cascade=CASCADE,
    memory_mb=250,
    connections=20,
    connections_under_load=6,
    stored_bytes=[500, 3_000, 5_000],
    index_bytes=[200, 1_000, 2_000],
    writer_cpu_ms=0.3,
    writer_postgres_cpu_ms=0.2,
    writer_calls_per_s=1_500,
    calls_per_transaction=40,
    one_process_per_s=100,
    three_processes_per_s=140,
    others_share=0.1,
)
ASSUMED = Assumed(hits=0.2, cascades=0.3, cpu_share=0.5, database_cores=10, database_share=0.5, connections_allowed=500)


def test_needs_are_sums_over_the_traffic() -> None:
    found = needs(1_000, MEASURED, ASSUMED)
    assert found.replicas == 13  # 0.2 + 3 + 3 ms a request, half of a core each
    assert found.memory_gb == pytest.approx(3.25)
    assert found.calls_per_s == pytest.approx(1_100)
    assert found.transactions_per_s == pytest.approx(570)
    assert found.postgres_cores == pytest.approx(1.2)
    assert found.databases == 1
    assert found.connections == (78, 260)
    assert found.wal_mb_per_s == pytest.approx(4.6)
    assert found.stored_gb_per_day == pytest.approx(86.4 * (0.2 * 500 + 0.5 * 3_000 + 0.3 * 5_000) / 1_000)
    assert found.redis_commands_per_s == pytest.approx(2_600)
    assert found.redis_mb_per_s == pytest.approx(0.82)
    assert found.one_budget == pytest.approx(0.55)


def test_what_ends_first_is_found_at_its_rate() -> None:
    found = most_per_s(MEASURED, ASSUMED)
    assert found["one budget over everything"] == pytest.approx(2_000 / 1.1)
    assert found["PostgreSQL's default of 100 connections"] == pytest.approx(5 * 500 / 6.2)
    assert found["processor of a PostgreSQL with 10 cores"] == pytest.approx(5_000 / 1.2)
    rate = found["one budget over everything"]
    assert needs(round(rate), MEASURED, ASSUMED).one_budget == pytest.approx(1, rel=0.001)
    quicker = replace(MEASURED, writer_cpu_ms=0.1, writer_postgres_cpu_ms=0.1)
    assert one_budget_calls_per_s(quicker) == pytest.approx(5_000)


def test_every_request_is_of_one_kind() -> None:
    assert sum(ASSUMED.shares.values()) == pytest.approx(1)
    assert calls_each(Assumed(hits=1, cascades=0)) == 0


def test_the_page_says_what_the_constants_come_to() -> None:
    """``python -m tests.benchmarks.capacity --write`` brings it up to date."""
    page = PAGE.read_text()
    assert "<!-- tables -->" in page
    assert written(page, tables(read(), Assumed())) == page
