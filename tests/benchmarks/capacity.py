"""What a deployment of any size needs, by arithmetic from what was measured on one small machine.

``python -m tests.benchmarks.capacity`` prints the tables of gateway/CAPACITY.md; with ``--write`` it puts them there.
The constants are ``capacity.json`` beside this file, which ``make evidence ARGS="-k capacity"`` measures. Knows
arithmetic; every assumption that was not measured is a field of ``Assumed``.
"""

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

CONSTANTS = Path(__file__).with_name("capacity.json")
PAGE = Path(__file__).resolve().parents[2] / "gateway" / "CAPACITY.md"
WAYS = ("hit", "miss", "cascade")  # from the cache; one call; two calls, the first of which was scored
RATES = (1_000, 10_000, 100_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """What a request of one kind costs."""

    cpu_ms: float  # of the gateway's process
    postgres_cpu_ms: float
    transactions: float
    wal_bytes: float
    redis_commands: float
    redis_bytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The constants.

    connections : to PostgreSQL that one process may open, and had open under this load.
    stored_bytes, index_bytes : of a request without a call, with one, with two; the indexes are part of what is stored.
    writer_* : processor time of a call's opening and ending with a hard budget over all of them, the writer's process
        and PostgreSQL's, of which transactions that count in one budget can only be spent one after the other.
    calls_per_transaction : while its writer was never idle.
    others_share : of the machine, that was used by what is no part of this while requests a second were measured.
    """

    date: str
    machine: str
    hit: Way
    miss: Way
    cascade: Way
    memory_mb: float
    connections: int
    connections_under_load: int
    stored_bytes: Sequence[float]
    index_bytes: Sequence[float]
    writer_cpu_ms: float
    writer_postgres_cpu_ms: float
    writer_calls_per_s: float
    calls_per_transaction: float
    one_process_per_s: float
    three_processes_per_s: float
    others_share: float

    def way(self, name: str) -> Way:
        found: Way = getattr(self, name)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumed:
    """What is not measured: the traffic, and how full things may be."""

    hits: float = 0.2  # of all requests
    cascades: float = 0.3
    cpu_share: float = 0.6  # of a core that a replica is planned to use
    database_cores: int = 32  # of the largest server that one would want for one ledger
    database_share: float = 0.6
    connections_allowed: int = 500  # by such a server

    @property
    def shares(self) -> dict[str, float]:
        return {"hit": self.hits, "miss": 1 - self.hits - self.cascades, "cascade": self.cascades}


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """Of so many requests a second."""

    per_s: int
    replicas: int
    memory_gb: float
    calls_per_s: float
    transactions_per_s: float
    postgres_cores: float
    connections: tuple[int, int]  # as many as under the measured load, and at most
    wal_mb_per_s: float
    stored_gb_per_day: float
    redis_commands_per_s: float
    redis_mb_per_s: float
    one_budget: float  # how many times as much as one budget's row can count, if one is over everything
    databases: int  # of the assumed size, if the ledger were divided; by its processor


def read() -> Measured:
    """The committed constants."""
    told = json.loads(CONSTANTS.read_text())
    return Measured(**told | {name: Way(**told[name]) for name in WAYS})


def mean(measured: Measured, assumed: Assumed, of: str) -> float:
    """Of a request of the assumed traffic."""
    return sum(share * float(getattr(measured.way(name), of)) for name, share in assumed.shares.items())


def calls_each(assumed: Assumed) -> float:
    """Of a request."""
    return assumed.shares["miss"] + 2 * assumed.shares["cascade"]


def one_budget_calls_per_s(measured: Measured) -> float:
    """How many calls one budget can count, in whatever many processes: its row is locked while one writes its group."""
    return 1000 / (measured.writer_cpu_ms + measured.writer_postgres_cpu_ms)


def needs(per_s: int, measured: Measured, assumed: Assumed) -> Needs:
    """What so many requests a second need."""
    replicas = math.ceil(per_s * mean(measured, assumed, "cpu_ms") / 1000 / assumed.cpu_share)
    cores = per_s * mean(measured, assumed, "postgres_cpu_ms") / 1000
    shares = assumed.shares
    calls = per_s * calls_each(assumed)
    stored = sum(shares[name] * measured.stored_bytes[calls] for calls, name in enumerate(WAYS))
    return Needs(
        per_s=per_s,
        replicas=replicas,
        memory_gb=replicas * measured.memory_mb / 1000,
        calls_per_s=calls,
        transactions_per_s=per_s * mean(measured, assumed, "transactions"),
        postgres_cores=cores,
        connections=(replicas * measured.connections_under_load, replicas * measured.connections),
        wal_mb_per_s=per_s * mean(measured, assumed, "wal_bytes") / 1e6,
        stored_gb_per_day=per_s * 86_400 * stored / 1e9,
        redis_commands_per_s=per_s * mean(measured, assumed, "redis_commands"),
        redis_mb_per_s=per_s * mean(measured, assumed, "redis_bytes") / 1e6,
        one_budget=calls / one_budget_calls_per_s(measured),
        databases=math.ceil(cores / (assumed.database_cores * assumed.database_share)),
    )


def most_per_s(measured: Measured, assumed: Assumed) -> dict[str, float]:
    """Where each thing ends, in requests a second, with one PostgreSQL of the assumed size."""
    replica = assumed.cpu_share * 1000 / mean(measured, assumed, "cpu_ms")  # requests a second of one
    return {
        "PostgreSQL's default of 100 connections": 100 // measured.connections * replica,
        f"{assumed.connections_allowed} connections": assumed.connections_allowed // measured.connections * replica,
        f"processor of a PostgreSQL with {assumed.database_cores} cores": assumed.database_cores
        * assumed.database_share
        * 1000
        / mean(measured, assumed, "postgres_cpu_ms"),
        "one budget over everything": one_budget_calls_per_s(measured) / calls_each(assumed),
    }


def tables(measured: Measured, assumed: Assumed) -> str:
    """The page's tables."""
    return "\n\n".join((_constants(measured), _sizes(measured, assumed), _limits(measured, assumed)))


def _constants(measured: Measured) -> str:
    lines = [
        f"Measured {measured.date} on {measured.machine}:",
        "",
        "| of one request | answered from the cache | one call | two calls, one scored |",
        "| --- | --- | --- | --- |",
    ]
    names = {
        "cpu_ms": "gateway's processor, ms", "postgres_cpu_ms": "PostgreSQL's processor, ms",
        "transactions": "PostgreSQL's transactions", "wal_bytes": "write-ahead log, bytes",
        "redis_commands": "Redis' commands", "redis_bytes": "Redis' traffic, bytes",
    }  # fmt: skip
    for field in fields(Way):
        cells = " | ".join(_short(float(getattr(measured.way(name), field.name))) for name in WAYS)
        lines.append(f"| {names[field.name]} | {cells} |")
    none, one, two = (stored / 1000 for stored in measured.stored_bytes)
    index = measured.index_bytes[1] / measured.stored_bytes[1]
    return "\n".join(
        [
            *lines,
            "",
            "| | |",
            "| --- | --- |",
            f"| memory of a replica | {measured.memory_mb:.0f} MB |",
            f"| connections to PostgreSQL of a replica | {measured.connections_under_load} under load, at most "
            f"{measured.connections} |",
            f"| a million requests on PostgreSQL's disk | {none:.2f} GB without a call, {one:.2f} GB with one "
            f"({index:.0%} of it indexes), {two:.2f} GB with two |",
            f"| a call's opening and ending, with a budget over it | {measured.writer_cpu_ms:.2f} ms of the process, "
            f"{measured.writer_postgres_cpu_ms:.2f} ms of PostgreSQL, {measured.calls_per_transaction:.0f} calls a "
            f"transaction; {measured.writer_calls_per_s:,.0f} calls/s |",
            f"| through nginx, everything on this machine | {measured.one_process_per_s:.0f} requests/s by one "
            f"process, {measured.three_processes_per_s:.0f} by three, while others used {measured.others_share:.0%} of "
            "the machine |",
        ]
    )


def _sizes(measured: Measured, assumed: Assumed) -> str:
    all_of_it = [needs(rate, measured, assumed) for rate in RATES]
    rows = {
        "replicas, a core each": [f"{one.replicas:,}" for one in all_of_it],
        "their memory": [f"{one.memory_gb:,.1f} GB" for one in all_of_it],
        "calls a second": [f"{one.calls_per_s:,.0f}" for one in all_of_it],
        "PostgreSQL: transactions a second": [f"{one.transactions_per_s:,.0f}" for one in all_of_it],
        "cores": [f"{one.postgres_cores:,.1f}" for one in all_of_it],
        "connections": [f"{one.connections[0]:,} to {one.connections[1]:,}" for one in all_of_it],
        "write-ahead log": [f"{one.wal_mb_per_s:,.1f} MB/s" for one in all_of_it],
        "grows by": [f"{one.stored_gb_per_day:,.0f} GB a day" for one in all_of_it],
        f"servers of {assumed.database_cores} cores for that": [f"{one.databases:,}" for one in all_of_it],
        "Redis: commands a second": [f"{one.redis_commands_per_s:,.0f}" for one in all_of_it],
        "traffic": [f"{one.redis_mb_per_s:,.1f} MB/s" for one in all_of_it],
        "of what one budget over everything can count": [f"{one.one_budget:,.1f} times" for one in all_of_it],
    }
    return "\n".join(
        [
            f"| {assumed.hits:.0%} from the cache, {assumed.cascades:.0%} asked twice | "
            + " | ".join(f"{one.per_s:,} requests/s" for one in all_of_it)
            + " |",
            "| --- |" + " --- |" * len(RATES),
            *(f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items()),
        ]
    )


def _limits(measured: Measured, assumed: Assumed) -> str:
    found = sorted(most_per_s(measured, assumed).items(), key=lambda item: item[1])
    rows = [f"| {name} | {_short(rate)} |" for name, rate in found]
    return "\n".join(["| what ends first | at requests/s |", "| --- | --- |", *rows])


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def written(page: str, made: str) -> str:
    """The page with these tables in place of its own."""
    before, begin, rest = page.partition("<!-- tables -->\n")
    _, end, after = rest.partition("<!-- end of tables -->")
    return f"{before}{begin}\n{made}\n\n{end}{after}"


def main() -> None:
    made = tables(read(), Assumed())
    if "--write" in sys.argv:
        PAGE.write_text(written(PAGE.read_text(), made))
    else:
        sys.stdout.write(made + "\n")


if __name__ == "__main__":
    main()
