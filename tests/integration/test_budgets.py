"""Budgets under many clients in many processes: never over, never needlessly refused, and no counter is lost.

Each process is a ledger of its own on one database. Its clients open and settle calls until the budget refuses them.
"""

import asyncio
import json
import random
import sys
from asyncio.subprocess import PIPE
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, select

from gateway.budgets.budget import Budget, BudgetExceeded
from gateway.budgets.counters import BudgetCounters
from gateway.budgets.store import BudgetStore
from gateway.budgets.tables import budget_holds, budget_windows
from gateway.database import Database
from gateway.ledger.billing import reserve
from gateway.ledger.bounds import call_bound
from gateway.ledger.liveness import Identity
from gateway.ledger.tables import settlements
from gateway.ledger.writer import LedgerWriter
from gateway.tenancy.scope import Scope
from scorer.answer import Usage
from tests.databases import ENGINES, Engine, fresh_database, fresh_url, rows_of
from tests.ledgers import BODY, LARGE, PRICES, QUICK, a_record, an_attempt, an_opening

UNIT = 260_000  # nano-USD in which the budgets are given


async def spend(url: str, clients: int, seed: int) -> dict[str, int]:
    """One process: so many clients, each calling until it is refused three times in a row."""
    database = Database(url)
    patient = replace(QUICK, patience_s=120.0)  # the machine may have much else to do
    ledger = LedgerWriter(database, PRICES, limits=patient, reservations=BudgetCounters(database))
    await ledger.start()
    luck = random.Random(seed)
    told = {"made": 0, "refused": 0}

    async def client(n: int) -> None:
        vain = 0
        while vain < 3:
            record = a_record(tenant_id="acme", team_id=f"team_{n % 2}", key_id=f"key_{n % 8}")
            await ledger.open_request(record)
            log = ledger.log_for(record, BODY)
            usage = Usage(prompt_tokens=luck.randint(1, 12), completion_tokens=luck.randint(0, 100))
            attempt = an_attempt(usage=usage, model="large")
            try:
                await log.open(an_opening(attempt))
            except BudgetExceeded:
                vain, told["refused"] = vain + 1, told["refused"] + 1
                await ledger.flush()  # what was set aside for others is settled meanwhile
                continue
            vain, told["made"] = 0, told["made"] + 1
            await asyncio.sleep(luck.random() / 200)
            log.close(attempt)

    await asyncio.gather(*(client(n) for n in range(clients)))
    await ledger.stop()
    await database.dispose()
    return told


async def contend(url: str, *, processes: int, clients: int) -> list[dict[str, int]]:
    words = (sys.executable, "-m", "tests.integration.test_budgets", url, str(clients))
    running = [await asyncio.create_subprocess_exec(*words, str(n), stdout=PIPE, stderr=PIPE) for n in range(processes)]
    said = await asyncio.gather(*(process.communicate() for process in running))
    for process, (_, err) in zip(running, said, strict=True):
        assert process.returncode == 0, err.decode()[-2000:]
    return [json.loads(out) for out, _ in said]


async def watch(database: Database, limits: dict[str, int], over: asyncio.Event) -> None:
    """Look at the counters all the while."""
    while True:
        for row in await rows_of(database, budget_windows):
            if row["reserved_nanousd"] + row["settled_nanousd"] > limits[row["budget_id"]]:
                over.set()
        await asyncio.sleep(0.02)


async def compete(engine: Engine, folder: Path, *, processes: int, clients: int, calls: int) -> dict[str, int]:
    """Budgets of an organisation, its teams and a key; the organisation's is the one that runs out."""
    async with fresh_url(engine, folder) as url:
        database = Database(url)
        await database.migrate()
        store = BudgetStore(database)
        wanted = [
            ("org", "acme", "total", calls),
            ("org", "acme", "monthly", calls * 2),
            ("team", "team_0", "daily", calls),
        ]
        wanted += [("team", "team_1", "weekly", calls), ("key", "key_3", "total", calls // 4)]
        made = [
            await store.set(
                Budget(
                    budget_id="",
                    scope=Scope(level=level, id=name),  # type: ignore[arg-type]  # literals in a list
                    period=period,  # type: ignore[arg-type]  # the same
                    amount_nanousd=share * UNIT + 1,
                    hard=True,
                )
            )
            for level, name, period, share in wanted
        ]
        limits = {budget.budget_id: budget.amount_nanousd for budget in made}
        over = asyncio.Event()
        watching = asyncio.create_task(watch(database, limits, over))
        told = await contend(url, processes=processes, clients=clients)
        watching.cancel()
        rows = {row["budget_id"]: row for row in await rows_of(database, budget_windows)}
        async with database.read() as connection:
            total = (await connection.execute(select(func.sum(settlements.c.amount_nanousd)))).scalar_one()
        assert not over.is_set()
        assert not await rows_of(database, budget_holds)
        assert all(row["reserved_nanousd"] == 0 for row in rows.values())
        assert all(row["settled_nanousd"] <= limits[name] for name, row in rows.items())
        org = rows[made[0].budget_id]
        assert org["settled_nanousd"] == total  # not one nano-dollar is lost between the counter and the ledger
        assert rows[made[2].budget_id]["settled_nanousd"] + rows[made[3].budget_id]["settled_nanousd"] == total
        left = limits[made[0].budget_id] - int(org["settled_nanousd"])
        await database.dispose()
        return {
            "clients": processes * clients,
            "calls": sum(each["made"] for each in told),
            "refused": sum(each["refused"] for each in told),
            "limit": limits[made[0].budget_id],
            "bound of a call": reserve(call_bound(BODY), LARGE),
            "settled": total,
            "left": left,
        }


@pytest.mark.parametrize("engine", ENGINES)
async def test_many_clients_in_many_processes_never_overrun_a_hard_budget(engine: Engine, tmp_path: Path) -> None:
    told = await compete(engine, tmp_path, processes=4, clients=16, calls=60)
    assert 0 <= told["left"] < told["bound of a call"]  # the last one refused was refused for good reason


@pytest.mark.parametrize("engine", ENGINES)
async def test_what_a_killed_process_held_is_booked_by_the_next_one(engine: Engine, tmp_path: Path) -> None:
    gone = replace(Identity.of_this_process(), process="1/0")
    async with fresh_database(engine, tmp_path) as database:
        budget = Budget(
            budget_id="", scope=Scope(level="org", id="acme"), period="total", amount_nanousd=10**9, hard=True
        )
        await BudgetStore(database).set(budget)
        first = LedgerWriter(database, PRICES, limits=QUICK, identity=gone, reservations=BudgetCounters(database))
        await first.start()
        record, attempt = a_record(), an_attempt()
        await first.open_request(record)
        await first.log_for(record, BODY).open(an_opening(attempt))
        for task in first._tasks:  # killed: it ends without a word
            task.cancel()
        await asyncio.gather(*first._tasks, return_exceptions=True)
        first._running = False
        (before,) = await rows_of(database, budget_windows)
        assert before["reserved_nanousd"] > 0
        second = LedgerWriter(database, PRICES, limits=QUICK, reservations=BudgetCounters(database))
        await second.start()
        await second.stop()
        (after,) = await rows_of(database, budget_windows)
        assert (after["reserved_nanousd"], after["settled_nanousd"]) == (0, before["reserved_nanousd"])
        assert not await rows_of(database, budget_holds)


@pytest.mark.evidence
@pytest.mark.timeout(600)
@pytest.mark.parametrize("engine", ENGINES)
async def test_a_hundred_clients_in_eight_processes_for_longer(engine: Engine, tmp_path: Path) -> None:
    told = await compete(engine, tmp_path, processes=8, clients=16, calls=1500)
    assert 0 <= told["left"] < told["bound of a call"]
    sys.stdout.write(f"\n{engine}: {told}\n")


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(spend(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))))
