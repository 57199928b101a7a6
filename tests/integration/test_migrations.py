"""Migrations on both engines: up, down, up again with data in place, at once from many processes, without drift."""

import asyncio
import sys
import time
import uuid
from asyncio.subprocess import PIPE
from dataclasses import fields
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, insert, inspect, select, text

import gateway.ledger.tables  # noqa: F401 - for its tables
from gateway.budgets.budget import Budget
from gateway.budgets.store import BudgetStore
from gateway.budgets.tables import budget_alerts, budget_holds, budget_windows
from gateway.database import Database, DatabaseError, _alembic_config, metadata, migrated, migrations_folder
from gateway.experts.store import Endpoint, ProbeStore
from gateway.idempotency.tables import once_requests
from gateway.keys import KeyStore
from gateway.ledger.billing import Correction, Line, Reservation
from gateway.ledger.group import Group
from gateway.ledger.partitions import is_our_own
from gateway.ledger.reconcile.compare import Variance
from gateway.ledger.reconcile.store import Reconciliations
from gateway.ledger.reviews import Reviews
from gateway.ledger.rollups.fold import Rollups
from gateway.ledger.rollups.sources import HOUR_US
from gateway.tenancy.directory import Directory
from gateway.tenancy.scope import RateLimit, Scope
from router.experts.findings import Finding, Looks, Probed
from scorer.answer import Usage
from tests.databases import ENGINES, Engine, fresh_database, fresh_url, rows_of
from tests.ledgers import a_ledger, an_attempt, run_request

REVISIONS = [
    script.revision for script in reversed(list(ScriptDirectory.from_config(_alembic_config()).walk_revisions()))
]


async def fill(database: Database) -> None:
    """Rows in every table that the newest schema has."""
    await KeyStore(database).create("app")
    directory = Directory(database)
    await directory.open_team("default", f"team {uuid.uuid4().hex}")
    await directory.set_rates(RateLimit(scope=Scope(level="org", id="default"), concurrent=3))
    await database.installation_secret("cache")
    async with a_ledger(database) as ledger:
        usage = Usage(prompt_tokens=1000, completion_tokens=100)
        await run_request(ledger, an_attempt(usage=usage, state="rejected"), an_attempt(model="large", usage=usage))
        await ledger.flush()
        await ledger._store.write(Group(corrections=[(1, a_correction(await settled(database)))]), again=False)
    budget = Budget(budget_id="", scope=Scope(level="org", id="acme"), period="total", amount_nanousd=10**9, hard=True)
    made = await BudgetStore(database).set(budget)
    window = {"budget_id": made.budget_id, "starts_us": uuid.uuid4().int >> 70}
    amounts = dict.fromkeys(("reserved_nanousd", "settled_nanousd"), 5)
    hold = window | {"attempt_id": uuid.uuid4().hex, "reserved_nanousd": 5}
    alert = window | {"percent": 50, "raised_us": 1, "settled_nanousd": 5, "amount_nanousd": 9, "tries": 0}
    async with database.write() as connection:
        await connection.execute(insert(budget_windows), window | amounts | {"unknown": 0, "alerted_percent": 50})
        await connection.execute(insert(budget_holds), hold)
        await connection.execute(insert(budget_alerts), alert)
        once = {"key_hash": uuid.uuid4().hex, "body_hash": "b", "claim_id": "c", "state": "kept", "answer": b"{}"}
        await connection.execute(insert(once_requests), once | {"until_us": 1, "expires_us": 2})
        row = {"price_version": uuid.uuid4().hex, "model": "small", "content": "{}", "seen_us": 1}
        await connection.execute(insert(metadata.tables["price_versions"]), row)
        row = {"writer_number": uuid.uuid4().int >> 98, "before_month": 202601, "through": 5, "hash": "aa", "links": 5}
        row |= {"attempts": 7, "spent_nanousd": 9, "made_us": 1}
        await connection.execute(insert(metadata.tables["checkpoints"]), row)
        row = {"policy": uuid.uuid4().hex, "strategy": "{}", "share": 0.1, "set_by": "operator", "set_us": 1}
        await connection.execute(insert(metadata.tables["canaries"]), row)
        row = {"decision_id": uuid.uuid4().hex, "attempt_id": "", "created_us": 1, "content": b"x"}
        await connection.execute(insert(metadata.tables["transcripts"]), row)
        row = {"day_us": uuid.uuid4().int >> 70, "before_month": 202601, "until_us": 1, "digest": "aa"}
        await connection.execute(insert(metadata.tables["kept_days"]), row)
    differs = Variance(
        day=date(2026, 11, 3), model="m", meter="output", cause="rate differs", note="", ledger_quantity=1,
        invoice_quantity=None, ledger_nanousd=None, invoice_nanousd=5,
    )  # fmt: skip
    await Reconciliations(database).keep("openai", "a.csv", (date(2026, 11, 3), date(2026, 11, 4)), 1, [differs])
    await Reviews(database).keep(f"dec_{uuid.uuid4().hex}", "default", "operator", 0.5)
    await Rollups(database).fold(time.time_ns() // 1000 + 27 * HOUR_US)
    looks = Looks(engine="vllm")
    await ProbeStore(database).keep(
        Endpoint.at("m", "1", "http://127.0.0.1:1/v1", "m"),
        Probed(model="m", deployment="1", looks=looks, findings=(Finding(ability="n", verdict="no"),)),
    )


async def settled(database: Database) -> Reservation:
    """The first attempt of the newest request."""
    rows = await rows_of(database, metadata.tables["attempts"])
    names = {field.name for field in fields(Reservation)} - {"price", "text_bytes"}
    return Reservation(**{name: rows[-2][name] for name in names}, price=None)


def a_correction(reservation: Reservation) -> Correction:
    return Correction(
        reservation=reservation,
        seq=1,
        event="correct",
        amount_nanousd=-1000,
        lines=(Line(meter="input", quantity=0, rate_usd=None, price_version=None, amount_nanousd=-1000),),
        price_version=None,
        reason="the invoice said so",
    )


def as_older(tables: dict[str, Any], newest: dict[str, Any]) -> dict[str, Any]:
    """What an older schema's tables hold of the newest one's rows."""
    expected = {}
    for name, rows in tables.items():
        columns = set(rows[0]) if rows else set()
        expected[name] = [{key: row[key] for key in row if key in columns} for row in newest[name]]
    if tables.get("settlements") and "corrections" not in tables:  # added to what they correct
        for row in expected["settlements"]:
            added = [fix["amount_nanousd"] for fix in newest["corrections"] if fix["attempt_id"] == row["attempt_id"]]
            row["amount_nanousd"] += sum(added)
    return expected


async def everything(database: Database) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table, as far as the schema of the moment has its columns."""

    def columns(connection: Connection) -> dict[str, set[str]]:
        inspected = inspect(connection)
        return {name: {c["name"] for c in inspected.get_columns(name)} for name in inspected.get_table_names()}

    found = {}
    await database.dispose()  # connections remember the tables as they were
    async with database.read() as connection:
        for name, there in (await connection.run_sync(columns)).items():
            table = metadata.tables.get(name)
            if table is not None:
                order = [column for column in table.primary_key if column.name in there]
                query = select(*(c for c in table.c if c.name in there)).order_by(*order)
                found[name] = [dict(row) for row in (await connection.execute(query)).mappings()]
    return found


@pytest.mark.parametrize("engine", ENGINES)
async def test_tables_and_migrations_do_not_drift_apart(engine: Engine, tmp_path: Path) -> None:
    def differences(connection: Connection) -> Any:
        options = {"compare_type": True, "include_object": is_our_own}
        return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)

    async with fresh_database(engine, tmp_path) as database, database.read() as connection:
        assert await connection.run_sync(differences) == []


@pytest.mark.parametrize("engine", ENGINES)
async def test_down_and_up_again_keeps_what_the_older_schema_holds(engine: Engine, tmp_path: Path) -> None:
    async with fresh_database(engine, tmp_path) as database:
        await fill(database)
        before = await everything(database)
        assert all(before.values())
        kept = before
        for revision in reversed(REVISIONS[:-1]):
            await database.downgrade(revision)
            kept = await everything(database)
            assert kept == as_older(kept, before)
            assert (await database.schema()).current == revision
        assert set(kept) == {"installation", "virtual_keys"}
        await database.migrate()
        after = await everything(database)
        assert as_older(kept, after) == kept
        assert [org["org_id"] for org in after["organisations"]] == ["default"]  # every tenant became one
        assert not after["requests"]
        await fill(database)
        await database.downgrade("base")
        assert await everything(database) == {}
        assert not (await database.schema()).at_head


@pytest.mark.parametrize("engine", ENGINES)
async def test_step_by_step_leads_to_the_same_place(engine: Engine, tmp_path: Path) -> None:
    async with fresh_url(engine, tmp_path) as url:
        database = Database(url)
        for revision in REVISIONS:
            await database.migrate(revision)
            assert (await database.schema()).current == revision
        assert (await database.schema()).at_head
        await fill(database)
        await database.dispose()


@pytest.mark.parametrize("before", [None, REVISIONS[3]], ids=["empty", "older"])
@pytest.mark.parametrize("engine", ENGINES)
async def test_processes_that_migrate_at_once_do_not_collide(
    engine: Engine, before: str | None, tmp_path: Path
) -> None:
    migrate = "import asyncio, sys; from gateway.database import Database; asyncio.run(Database(sys.argv[1]).migrate())"
    async with fresh_url(engine, tmp_path) as url:
        if before is not None:
            older = Database(url)
            await older.migrate(before)
            await older.dispose()
        command = (sys.executable, "-c", migrate, url)
        processes = [await asyncio.create_subprocess_exec(*command, stderr=PIPE) for _ in range(4)]
        said = await asyncio.gather(*(process.communicate() for process in processes))
        assert [process.returncode for process in processes] == [0] * 4, said
        database = Database(url)
        assert (await database.schema()).at_head
        await database.dispose()


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_migration_that_fails_leaves_nothing_behind(engine: Engine, tmp_path: Path) -> None:
    async with fresh_url(engine, tmp_path) as url:
        database = Database(url)
        async with database.write() as connection:
            await connection.execute(text("CREATE TABLE attempts (in_the_way INTEGER)"))
        with pytest.raises(DatabaseError, match="attempts"):
            await database.migrate()
        assert (await database.schema()).current is None
        async with database.read() as connection:
            names = await connection.run_sync(lambda c: set(inspect(c).get_table_names()))
        assert names - {"alembic_version"} == {"attempts"}
        await database.dispose()


async def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    async with fresh_database("sqlite", tmp_path) as database:
        async with database.write() as connection:
            await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        assert not (await database.schema()).at_head
        with pytest.raises(DatabaseError, match="9999"):
            await database.migrate()


def test_migrations_stand_in_a_line() -> None:
    assert sorted(REVISIONS) == REVISIONS
    for revision in REVISIONS:
        assert len(list((migrations_folder() / "versions").glob(f"{revision}_*.py"))) == 1


@pytest.mark.parametrize("engine", ENGINES)
async def test_who_does_not_migrate_waits_for_somebody_who_does(engine: Engine, tmp_path: Path) -> None:
    async with fresh_url(engine, tmp_path) as url:
        database = Database(url)
        with pytest.raises(
            DatabaseError, match=r"stands at nothing, this version needs .*; run `spillway migrate` first"
        ):
            await database.await_schema(patience_s=0.0)
        waiting = asyncio.create_task(database.await_schema())
        await asyncio.sleep(0.1)
        assert not waiting.done()
        assert await migrated(url) == (None, REVISIONS[-1])
        await asyncio.wait_for(waiting, 10)
        assert await migrated(url) == (REVISIONS[-1], REVISIONS[-1])
        await database.dispose()


async def test_replicas_of_the_version_before_serve_on_while_they_are_exchanged(tmp_path: Path) -> None:
    async with fresh_database("sqlite", tmp_path) as database:
        assert (await database.schema()).serves
        async with database.write() as connection:
            await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        state = await database.schema()
        assert (state.at_head, state.serves) == (False, True)
        await database.await_schema(patience_s=0.0)
        async with database.write() as connection:
            await connection.execute(text(f"UPDATE alembic_version SET version_num = '{REVISIONS[0]}'"))
        assert not (await database.schema()).serves
