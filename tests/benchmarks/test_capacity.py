"""The constants of gateway/CAPACITY.md: what a request takes of the gateway, of PostgreSQL and of Redis.

Prints ``capacity.json``, and writes it into the folder that SPILLWAY_EVIDENCE names. Processor time is the kernel's
account, process by process, so that a busy machine disturbs it little; requests a second are of this machine, whole.
"""

import asyncio
import contextlib
import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from sqlalchemy import text

from gateway.budgets.budget import Budget
from gateway.budgets.counters import BudgetCounters
from gateway.budgets.store import BudgetStore
from gateway.database import Database
from gateway.ledger.writer import LedgerWriter
from gateway.tenancy.scope import Scope
from router.strategy import Stage, Strategy
from scorer.answer import Usage
from scorer.registry import write
from scorer.training import train
from tests.benchmarks.capacity import Measured, Way
from tests.benchmarks.load import Load, load
from tests.cluster import Cluster, cluster
from tests.ledgers import a_ledger, an_attempt, run_request
from tests.services import free_port, own_postgres
from tests.unit.scorer import synthetic
from tests.wire import completion

pytestmark = [pytest.mark.evidence, pytest.mark.timeout(1200)]

FOR_S, CONNECTIONS = 12.0, 16
STORED = 6_000  # requests, of each number of calls
POLICIES = """policies:
  - {name: default, safe_model: large}
  - {name: twice, safe_model: large, strategy: strategy.json, scorer: scorer, unlike_rate: 0}
default_policy: default
cache: {enabled: true}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """Everything that only ever grows."""

    gateway_cpu_s: float
    postgres_cpu_s: float
    transactions: int
    wal_bytes: int
    redis_commands: int
    redis_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Processor time so far: all there was, what was idle, and what this test and all that it started have used."""

    all_s: float
    idle_s: float
    own_s: float

    @classmethod
    def now(cls) -> "Machine":
        ticks = [int(word) for word in Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]]
        hertz = os.sysconf("SC_CLK_TCK")
        return cls(all_s=sum(ticks) / hertz, idle_s=(ticks[3] + ticks[4]) / hertz, own_s=family_cpu_s(os.getpid()))

    def others_since(self, before: "Machine") -> float:
        """The share of the machine that others have used."""
        own, idle = self.own_s - before.own_s, self.idle_s - before.idle_s
        return max(0.0, 1 - (own + idle) / (self.all_s - before.all_s))


def question(n: int) -> list[dict[str, str]]:
    words = f"What is {1000 + n % 9000} + {1000 + n % 7919}? Case {n}. Say: The answer is N."
    return [{"role": "user", "content": words}]


def once(n: int) -> Mapping[str, Any]:
    return {"model": "auto", "messages": question(n), "temperature": 0, "max_tokens": 100}


def twice(n: int) -> Mapping[str, Any]:
    return {"model": "cascade/twice", "messages": question(n), "temperature": 0, "max_tokens": 100}


def again(_: int) -> Mapping[str, Any]:
    return once(10**7)


async def test_capacity(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port, ways = free_port(), dict[str, Any]()
    said = completion("We add the two numbers step by step. The answer is 12345.", usage=(30, 20))
    reply = json.dumps(said).replace("'", "")
    further = (
        f"server {{ listen 127.0.0.1:{port}; location / {{ default_type application/json; return 200 '{reply}'; }} }}"
    )
    with contextlib.ExitStack() as stack:
        deployed = cluster(tmp_path, f"http://127.0.0.1:{port}/v1", POLICIES, started=False, further=further)
        one = await asyncio.to_thread(stack.enter_context, deployed)
        scored_twice(tmp_path)
        for replica in one.replicas:
            await asyncio.to_thread(replica.start)
        key = (await asyncio.to_thread(one.key))["secret"]
        first = one.replicas[0]
        for name, body in (("miss", once), ("hit", again), ("cascade", twice)):
            await load(first.url, key, body, connections=CONNECTIONS, seconds=2)  # warm
            ways[name] = await way(one, key, shifted(body))
        connections = await under_load(one)
        memory = first.rss_mb()
        idle = Machine.now()
        three = await load(one.url, key, shifted(once, 3), connections=32, seconds=FOR_S)
        for replica in one.replicas[1:]:
            await asyncio.to_thread(replica.stop)
        alone = await load(one.url, key, shifted(once, 4), connections=32, seconds=FOR_S)
        others = Machine.now().others_since(idle)
        await asyncio.to_thread(stack.close)
    rows = await stored()
    measured = Measured(
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        machine=f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}, everything on it",
        memory_mb=round(memory, 1),
        connections=20,
        connections_under_load=connections,
        one_process_per_s=round(alone.per_s, 1),
        three_processes_per_s=round(three.per_s, 1),
        others_share=round(others, 2),
        **ways,
        **rows,
    )
    told = json.dumps(asdict(measured), indent=1)
    with capsys.disabled():
        print(f"\n{told}")
    Path(os.environ.get("SPILLWAY_EVIDENCE", tmp_path), "capacity.json").write_text(told + "\n")  # noqa: ASYNC240
    assert set(three.statuses) == set(alone.statuses) == {200}
    assert measured.hit.cpu_ms < measured.miss.cpu_ms < measured.cascade.cpu_ms


def scored_twice(folder: Path) -> None:
    """A real scorer, and a strategy that never accepts what it says of the first model."""
    version = write(train(synthetic.log(400)), folder / "scorer")
    stages = (Stage(model="small", threshold=1.0), Stage(model="large"))
    strategy = Strategy.of(stages, reference_model="large", safe_model="large", scorer_version=version)
    strategy.dump(folder / "strategy.json")


def shifted(body: Callable[[int], Mapping[str, Any]], by: int = 1) -> Callable[[int], Mapping[str, Any]]:
    """Other questions than before."""
    return lambda n: body(n + by * 10**8)


async def way(one: Cluster, key: str, body: Callable[[int], Mapping[str, Any]]) -> Way:
    """What a request of this kind takes, of the first replica alone."""
    before = await counters(one)
    seen: Load = await load(one.replicas[0].url, key, body, connections=CONNECTIONS, seconds=FOR_S)
    await asyncio.sleep(2)  # for settlements, and PostgreSQL's own counters
    after = await counters(one)
    assert set(seen.statuses) == {200}, seen.statuses
    each = {name: (getattr(after, name) - getattr(before, name)) / seen.answered for name in asdict(before)}
    return Way(
        cpu_ms=round(each["gateway_cpu_s"] * 1000, 3),
        postgres_cpu_ms=round(each["postgres_cpu_s"] * 1000, 3),
        transactions=round(each["transactions"], 3),
        wal_bytes=round(each["wal_bytes"]),
        redis_commands=round(each["redis_commands"], 2),
        redis_bytes=round(each["redis_bytes"]),
    )


async def counters(one: Cluster) -> Counters:
    async with Redis.from_url(one.redis_url) as redis:
        info = await redis.info()
    database = one.database()
    async with database.read() as connection:
        row = (
            await connection.execute(
                text(
                    "SELECT xact_commit + xact_rollback AS done, pg_current_wal_lsn() - '0/0'::pg_lsn AS wal "
                    "FROM pg_stat_database WHERE datname = current_database()"
                )
            )
        ).one()
    await database.dispose()
    return Counters(
        gateway_cpu_s=one.replicas[0].cpu_s(),
        postgres_cpu_s=tree_cpu_s(one.postgres.pid),
        transactions=int(row.done),
        wal_bytes=int(row.wal),
        redis_commands=int(info["total_commands_processed"]),
        redis_bytes=int(info["total_net_input_bytes"]) + int(info["total_net_output_bytes"]),
    )


def own_cpu_s() -> float:
    """This process's."""
    return time.process_time()


def tree_cpu_s(pid: int) -> float:
    """Processor time of a process, of its children, and of those that it has buried."""
    return sum(ticks for one, (parent, ticks) in processes().items() if pid in (one, parent))


def family_cpu_s(pid: int) -> float:
    """The same, with all who descend from it."""
    known, family, grown = processes(), {pid}, True
    while grown:
        more = {one for one, (parent, _) in known.items() if parent in family} - family
        family |= more
        grown = bool(more)
    return sum(known[one][1] for one in family if one in known)


def processes() -> dict[int, tuple[int, float]]:
    """Of each, its parent and the processor time that it and those that it has buried have used."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            found[int(stat.parent.name)] = (int(fields[1]), sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK"))
    return found


async def under_load(one: Cluster) -> int:
    """Connections of the first replica, whose pool opens as many as it needed at once."""
    database = one.database()
    async with database.read() as connection:
        query = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        everybody = int((await connection.execute(query)).scalar_one()) - 1
    await database.dispose()
    return round(everybody / len(one.replicas))


async def stored() -> dict[str, Any]:
    """Bytes on disk a request, and what a writer does that is never idle, with a hard budget over all of it."""
    with contextlib.ExitStack() as stack:
        pg, url = await asyncio.to_thread(stack.enter_context, own_postgres())
        database = Database(url)
        await database.migrate()
        whole = Budget(
            budget_id="", scope=Scope(level="org", id="acme"), period="total", amount_nanousd=10**15, hard=True
        )
        await BudgetStore(database).set(whole)
        async with a_ledger(database, reservations=BudgetCounters(database)) as ledger:
            await written(ledger, 500, 1)
            sizes = [await on_disk(database)]
            began, commits, cpu_s, pg_cpu_s = time.monotonic(), ledger.counts.commits, own_cpu_s(), tree_cpu_s(pg.pid)
            for each in (0, 1, 2):
                await written(ledger, STORED, each)
                await ledger.flush()
                sizes.append(await on_disk(database))
            seconds, commits = time.monotonic() - began, ledger.counts.commits - commits
            cpu_s, pg_cpu_s = own_cpu_s() - cpu_s, tree_cpu_s(pg.pid) - pg_cpu_s
        await database.dispose()
        await asyncio.to_thread(stack.close)
    calls = 3 * STORED
    grown = [[after[n] - before[n] for before, after in pairwise(sizes)] for n in (0, 1)]
    return {
        "stored_bytes": [round(sum(both) / STORED, 1) for both in zip(*grown, strict=True)],
        "index_bytes": [round(index / STORED, 1) for index in grown[1]],
        "writer_cpu_ms": round(cpu_s / calls * 1000, 3),
        "writer_postgres_cpu_ms": round(pg_cpu_s / calls * 1000, 3),
        "writer_calls_per_s": round(calls / seconds, 1),
        "calls_per_transaction": round(calls / commits, 1),
    }


async def written(ledger: LedgerWriter, requests: int, calls: int) -> None:
    usage = Usage(prompt_tokens=30, completion_tokens=20)

    async def client(n: int) -> None:
        for _ in range(n):
            tiers = ("small", "large")[2 - calls :] if calls else ()
            await run_request(ledger, *(an_attempt(model=tier, usage=usage) for tier in tiers))

    await asyncio.gather(*(client(requests // 50) for _ in range(50)))


async def on_disk(database: Database) -> tuple[int, int]:
    """Bytes of all tables, and of all indexes."""
    query = text(
        "SELECT sum(pg_table_size(c.oid)), sum(pg_indexes_size(c.oid)) FROM pg_class c "
        "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public' AND c.relkind = 'r'"
    )
    async with database.read() as connection:
        row = (await connection.execute(query)).one()
    return int(row[0]), int(row[1])
