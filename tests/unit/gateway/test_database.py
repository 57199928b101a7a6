"""The database: transactions, exact decimals, names for what goes wrong, secrets shared by all processes."""

import asyncio
import sqlite3
import stat
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.dialects import sqlite

import gateway.database
from gateway.database import Database, DatabaseError, DatabaseUnavailable, ExactDecimal, migrations_folder
from gateway.errors import RequestError


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("nonsense", "is no URL"),
        ("mysql://localhost/x", "must be SQLite or PostgreSQL"),
        ("sqlite://", "needs a file"),
        ("sqlite+aiosqlite:///:memory:", "needs a file"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_by_name(url: str, told: str) -> None:
    with pytest.raises(DatabaseError, match=told):
        Database(url)


def test_a_password_is_not_shown() -> None:
    assert "secret" not in Database("postgresql://user:secret@localhost/spillway").name


async def test_sqlite_is_set_up_for_a_ledger(database: Database) -> None:
    async with database.read() as connection:
        settings = {
            name: (await connection.execute(text(f"PRAGMA {name}"))).scalar_one()
            for name in ("journal_mode", "foreign_keys", "synchronous", "busy_timeout")
        }
    assert settings == {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 2, "busy_timeout": 10_000}


async def test_the_file_is_nobody_elses_to_read(tmp_path: Path) -> None:
    path = tmp_path / "made.db"
    database = Database(f"sqlite:///{path}")
    missing_before = database.is_missing
    await database.migrate()
    await database.dispose()
    assert (missing_before, database.is_missing) == (True, False)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_an_error_rolls_a_transaction_back(database: Database) -> None:
    async def fail() -> None:
        async with database.write() as connection:
            await connection.execute(text("INSERT INTO installation VALUES ('a', 'b')"))
            await connection.execute(text("INSERT INTO nowhere VALUES ('a', 'b')"))

    with pytest.raises(DatabaseError):
        await fail()
    async with database.read() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM installation"))).scalar_one() == 0


async def test_a_statement_that_cannot_work_is_a_database_error(database: Database) -> None:
    with pytest.raises(DatabaseError, match="no such table"):
        async with database.read() as connection:
            await connection.execute(text("SELECT * FROM nowhere"))


async def test_a_locked_database_is_unavailable_and_says_so_to_clients_without_detail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway.database, "_BUSY_TIMEOUT_MS", 20)
    database = Database(f"sqlite:///{tmp_path / 'locked.db'}")
    await database.migrate()
    other = sqlite3.connect(tmp_path / "locked.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseUnavailable, match="locked") as caught:
        async with database.write():
            pass
    other.execute("ROLLBACK")
    other.close()
    assert isinstance(caught.value, RequestError)
    assert caught.value.status == 503
    assert "locked" not in caught.value.message
    async with database.write() as connection:
        await connection.execute(text("INSERT INTO installation VALUES ('a', 'b')"))
    await database.dispose()


@pytest.mark.parametrize("replaced", [False, True])
async def test_a_file_that_was_removed_or_replaced_takes_no_more_rows(tmp_path: Path, replaced: bool) -> None:
    path = tmp_path / "spillway.db"
    database = Database(f"sqlite:///{path}")
    await database.migrate()
    copy = path.read_bytes()
    path.rename(tmp_path / "moved.db")
    if replaced:
        path.write_bytes(copy)
    for use in (database.read, database.write):
        with pytest.raises(DatabaseUnavailable, match="removed or replaced"):
            async with use():
                pass
    await database.dispose()


async def test_a_database_that_cannot_be_written_may_be_written_later(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(text("PRAGMA query_only=ON"))
    with pytest.raises(DatabaseUnavailable, match="readonly"):
        await database.installation_secret("cache")


async def test_waiting_for_a_database_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(gateway.database, "_MIGRATION_PATIENCE_S", 0.5)
    database = Database(f"sqlite:///{tmp_path}")  # a folder
    with pytest.raises(DatabaseUnavailable, match="unable to open"):
        await database.migrate()
    assert caplog.text.count("waiting up to") == 1
    await database.dispose()


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    database = Database("postgresql://nobody@127.0.0.1:1/nothing")
    with pytest.raises(DatabaseUnavailable):
        await database.schema()
    await database.dispose()


async def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'nowhere' / 'x.db'}")
    with pytest.raises(DatabaseError, match="there is no folder"):
        await database.schema()
    await database.dispose()


async def test_an_installation_secret_is_one_however_many_ask(database: Database) -> None:
    secrets = await asyncio.gather(*(database.installation_secret("cache") for _ in range(5)))
    assert len(set(secrets)) == 1
    assert len(secrets[0]) == 32
    assert await database.installation_secret("other") != secrets[0]


@given(st.decimals(min_value=0, max_value=10**12, places=18))
def test_a_decimal_comes_back_from_text_digit_by_digit(value: Decimal) -> None:
    kind, dialect = ExactDecimal(), sqlite.dialect()
    stored = kind.process_bind_param(value, dialect)
    assert isinstance(stored, str)
    assert kind.process_result_value(stored, dialect) == value


def test_migrations_are_found_in_a_checkout_and_in_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (migrations_folder() / "env.py").is_file()
    package = tmp_path / "gateway"
    (package / "_migrations").mkdir(parents=True)
    monkeypatch.setattr(gateway.database, "__file__", str(package / "database.py"))
    assert migrations_folder() == package / "_migrations"
