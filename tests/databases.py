"""Throwaway databases for tests: a new SQLite file, or a new database on a PostgreSQL server that is there already."""

import os
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from sqlalchemy import Table, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine

from gateway.database import Database

Engine = Literal["sqlite", "postgresql"]
ENGINES: tuple[Engine, ...] = ("sqlite", "postgresql")

_LOOPBACK = "postgresql+asyncpg://postgres@127.0.0.1:5432/postgres"


@asynccontextmanager
async def fresh_url(engine: Engine, folder: Path) -> AsyncGenerator[str]:
    """The URL of an empty database that is gone afterwards."""
    if engine == "sqlite":
        yield f"sqlite+aiosqlite:///{folder / f'{uuid.uuid4().hex}.db'}"
        return
    server = make_url(os.environ.get("SPILLWAY_TEST_POSTGRES_URL", _LOOPBACK))
    name = f"spillway_test_{uuid.uuid4().hex}"
    await _administer(server.render_as_string(hide_password=False), f'CREATE DATABASE "{name}"')
    try:
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        await _administer(server.render_as_string(hide_password=False), f'DROP DATABASE "{name}" WITH (FORCE)')


@asynccontextmanager
async def fresh_database(engine: Engine, folder: Path) -> AsyncGenerator[Database]:
    """A database with the newest schema that is gone afterwards."""
    async with fresh_url(engine, folder) as url:
        database = Database(url)
        try:
            await database.migrate()
            yield database
        finally:
            await database.dispose()


async def kept_url(engine: Engine, folder: Path, name: str, *, anew: bool) -> str:
    """The URL of a database that stays. ``anew``: what was there of that name goes first."""
    if engine == "sqlite":
        for end in ("", "-wal", "-shm") if anew else ():
            Path.unlink(folder / f"{name}.db{end}", missing_ok=True)
        return f"sqlite+aiosqlite:///{folder / f'{name}.db'}"
    server = make_url(os.environ.get("SPILLWAY_TEST_POSTGRES_URL", _LOOPBACK))
    if anew:
        await _administer(
            server.render_as_string(hide_password=False), f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'
        )
        await _administer(server.render_as_string(hide_password=False), f'CREATE DATABASE "{name}"')
    return server.set(database=name).render_as_string(hide_password=False)


async def rows_of(database: Database, table: Table) -> Sequence[dict[str, Any]]:
    """Everything in a table, ordered by its primary key."""
    async with database.read() as connection:
        rows = (await connection.execute(select(table).order_by(*table.primary_key))).mappings().all()
    return [dict(row) for row in rows]


async def _administer(url: str, statement: str) -> None:
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT", connect_args={"timeout": 5})
    try:
        async with engine.connect() as connection:
            await connection.execute(text(statement))
    except (OSError, TimeoutError, SQLAlchemyError) as error:
        reason = f"no PostgreSQL to test on ({error}); set SPILLWAY_TEST_POSTGRES_URL"
        if os.environ.get("SPILLWAY_REQUIRE_SERVICES") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    finally:
        await engine.dispose()
