"""Migrations on both engines: up, down, up again with data in place, at once from many processes, without drift."""

import asyncio
import sys
import uuid
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, select, text

import gateway.ledger.tables  # noqa: F401 - for its tables
from gateway.database import Database, DatabaseError, _alembic_config, metadata, migrations_folder
from gateway.keys import KeyStore
from gateway.tenancy.directory import Directory
from gateway.tenancy.scope import RateLimit, Scope
from scorer.answer import Usage
from tests.databases import ENGINES, Engine, fresh_database, fresh_url
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


async def everything(database: Database) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table, as far as the schema of the moment has its columns."""

    def columns(connection: Connection) -> dict[str, set[str]]:
        inspected = inspect(connection)
        return {name: {c["name"] for c in inspected.get_columns(name)} for name in inspected.get_table_names()}

    found = {}
    async with database.read() as connection:
        for name, there in (await connection.run_sync(columns)).items():
            table = metadata.tables.get(name)
            if table is not None:
                query = select(*(c for c in table.c if c.name in there)).order_by(*table.primary_key)
                found[name] = [dict(row) for row in (await connection.execute(query)).mappings()]
    return found


def of_the_same_columns(
    before: dict[str, list[dict[str, Any]]], kept: dict[str, list[dict[str, Any]]]
) -> dict[str, list[dict[str, Any]]]:
    """What was there before, without what an older schema has no place for."""
    return {
        name: [{column: row[column] for column in (rows[0] if rows else {})} for row in before[name]]
        for name, rows in kept.items()
    }


@pytest.mark.parametrize("engine", ENGINES)
async def test_tables_and_migrations_do_not_drift_apart(engine: Engine, tmp_path: Path) -> None:
    def differences(connection: Connection) -> Any:
        return compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)

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
            assert kept == of_the_same_columns(before, kept)
            assert (await database.schema()).current == revision
        assert set(kept) == {"installation", "virtual_keys"}
        await database.migrate()
        after = await everything(database)
        assert of_the_same_columns({name: after[name] for name in kept}, kept) == kept
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


@pytest.mark.parametrize("engine", ENGINES)
async def test_processes_that_migrate_at_once_do_not_collide(engine: Engine, tmp_path: Path) -> None:
    migrate = "import asyncio, sys; from gateway.database import Database; asyncio.run(Database(sys.argv[1]).migrate())"
    async with fresh_url(engine, tmp_path) as url:
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
