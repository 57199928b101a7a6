"""The one database: engines for SQLite and PostgreSQL, transactions on them, and the schema's version.

Knows connections, pragmas, locks and migrations, and the column types on which the two engines differ. Knows no table.
"""

import asyncio
import base64
import functools
import logging
import os
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Column, MetaData, String, Table, Text, TypeDecorator, event, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, Connection, Dialect, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.types import Numeric, TypeEngine

from gateway.errors import GatewayError, Unavailable

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_installation = Table(
    "installation",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
    comment="Secrets and settings that all processes of one installation share",
)

_BUSY_TIMEOUT_MS = 10_000
_MIGRATION_PATIENCE_S = 120.0
_MIGRATION_LOCK = 0x5B111_A7E5  # any number that no other program takes an advisory lock on
_POSTGRES_SHUTTING_DOWN_OR_CONFLICT = ("08", "40", "53", "55P03", "57P")
_SQLITE_CANNOT_NOW = ("locked", "busy", "disk i/o", "unable to open", "database or disk is full", "readonly")

_log = logging.getLogger("spillway.database")


class DatabaseError(GatewayError):
    """The database refused a statement, or its URL cannot be used. Trying again changes nothing."""


class DatabaseUnavailable(Unavailable):
    """The database cannot be reached or is busy. The same statement may succeed later."""

    def __init__(self, detail: str) -> None:
        super().__init__("the database does not answer at the moment", headers={"retry-after": "1"})
        self.detail = detail  # for the log and the command line, not for clients

    def __str__(self) -> str:
        return self.detail


class ExactDecimal(TypeDecorator[Decimal]):
    """A Decimal that comes back digit by digit: NUMERIC on PostgreSQL, text on SQLite (whose NUMERIC is a float)."""

    impl = Numeric
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The column type on this engine."""
        return dialect.type_descriptor(String(64) if dialect.name == "sqlite" else Numeric())

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        """Into the database."""
        return format(value, "f") if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        """Out of the database."""
        return None if value is None else Decimal(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaState:
    """Which migration the database stands at, and which is the newest known here."""

    current: str | None
    head: str
    known: bool = True  # whether this version knows the migration that the database stands at

    @property
    def at_head(self) -> bool:
        """Whether this code and this database fit."""
        return self.current == self.head

    @property
    def serves(self) -> bool:
        """Whether this code can work on it: at head, or moved on by a newer version, whose migrations keep what the
        version before them needs. So replicas of both serve side by side while they are exchanged."""
        return self.at_head or not self.known


class Database:
    """A database by its URL, e.g. ``sqlite+aiosqlite:///spillway.db`` or ``postgresql+asyncpg://user@host/name``.

    Raises DatabaseError for a URL that cannot be used; nothing is connected before the first statement.
    """

    def __init__(self, url: str) -> None:
        self._url = parsed = _driver_url(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        self.name = parsed.render_as_string(hide_password=True)
        if self.is_sqlite:
            self._file = _File(Path(str(parsed.database)))
            self._reader, self._writer = _sqlite_engines(parsed, self._file)
        else:
            self._reader = self._writer = create_async_engine(
                parsed,
                pool_size=10,
                max_overflow=10,
                pool_timeout=5,
                pool_pre_ping=True,
                connect_args={"timeout": 5, "command_timeout": 30},  # a silent network must not hold a request for ever
            )

    @property
    def is_missing(self) -> bool:
        """Whether this is a SQLite file that nobody has made yet; connecting would make it, empty."""
        return self.is_sqlite and not Path(str(self._url.database)).exists()

    @asynccontextmanager
    async def read(self, within_s: float | None = None) -> AsyncGenerator[AsyncConnection]:
        """A connection on which every statement sees one state of SQLite, or committed states of PostgreSQL.

        within_s : DatabaseUnavailable if it takes longer; by default it may take as long as any statement may.
        """
        self._still_there()
        async with _named_errors(), asyncio.timeout(within_s), self._reader.connect() as connection:
            yield connection

    @asynccontextmanager
    async def write(self) -> AsyncGenerator[AsyncConnection]:
        """One transaction, committed at the end, rolled back on an error. On SQLite there is one at a time."""
        self._still_there()
        async with _named_errors(), self._writer.begin() as connection:
            yield connection

    async def vacuum(self, table: str) -> None:
        """Give the space of deleted rows back, as far as PostgreSQL can without holding anybody up."""
        async with _named_errors(), self._writer.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            await connection.execute(text(f"VACUUM {table}"))

    def insert_once(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        """An INSERT that leaves rows alone which are already there: what makes a repeated write harmless."""
        if self.is_sqlite:
            return sqlite.insert(table).on_conflict_do_nothing()
        return postgresql.insert(table).on_conflict_do_nothing()

    async def migrate(self, revision: str = "head") -> None:
        """Bring the schema up to a revision, all or nothing. Any number of processes may do so at once."""
        await self._migrate(command.upgrade, revision)

    async def downgrade(self, revision: str) -> None:
        """Bring the schema down to a revision ("base": to nothing), all or nothing."""
        await self._migrate(command.downgrade, revision)

    async def schema(self) -> SchemaState:
        """Where the schema stands. Raises DatabaseUnavailable."""
        async with self.read() as connection:
            current = await connection.run_sync(lambda c: MigrationContext.configure(c).get_current_revision())
        return SchemaState(current=current, head=_newest_revision(), known=current is None or current in _revisions())

    async def await_schema(self, patience_s: float = _MIGRATION_PATIENCE_S) -> None:
        """Wait until somebody else has brought the schema up. Raises DatabaseError where nobody does in time."""
        loop = asyncio.get_running_loop()
        deadline, told = loop.time() + patience_s, ""
        while True:
            try:
                state = await self.schema()
            except DatabaseUnavailable as error:
                said = str(error)
            else:
                if state.serves:
                    return
                said = f"{self.name} stands at {state.current or 'nothing'}, this version needs {state.head}"
            if loop.time() >= deadline:
                raise DatabaseError(f"{said}; run `spillway migrate` first, or set database.migrate_at_start: true")
            if said != told:
                _log.warning("waiting for migrations: %s", said)
                told = said
            await asyncio.sleep(1.0)

    async def installation_secret(self, name: str) -> bytes:
        """32 random bytes that all processes on this database share, made at the first call."""
        fresh = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        async with self.write() as connection:
            await connection.execute(self.insert_once(_installation), {"name": name, "value": fresh})
            query = select(_installation.c.value).where(_installation.c.name == name)
            value = (await connection.execute(query)).scalar_one()
        return base64.urlsafe_b64decode(value)

    def _still_there(self) -> None:
        if self.is_sqlite and self._file.has_gone():
            raise DatabaseUnavailable(f"{self.name}: the file was removed or replaced; restart with the right one")

    async def dispose(self) -> None:
        """Close every connection."""
        await self._writer.dispose()
        if self._reader is not self._writer:
            await self._reader.dispose()

    async def _migrate(self, step: Callable[[Config, str], None], revision: str) -> None:
        def run(connection: Connection) -> None:
            if not self.is_sqlite:  # SQLite's transaction is a lock by itself: it begins immediate
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
            config = _alembic_config()
            config.attributes["connection"] = connection
            try:
                step(config, revision)
            except CommandError as error:
                raise DatabaseError(f"{self.name}: {error}; is it of a newer version than this one?") from error

        async def attempt() -> None:
            async with _named_errors(), engine.begin() as connection:
                await connection.run_sync(run)

        # an index on a large table takes longer than a request's statement may
        engine = self._writer if self.is_sqlite else create_async_engine(self._url, poolclass=NullPool)
        await _while_busy(attempt, _MIGRATION_PATIENCE_S)


async def migrated(url: str) -> tuple[str | None, str | None]:
    """Bring a database up to head; where it stood before, and stands now. Raises DatabaseError, DatabaseUnavailable."""
    database = Database(url)
    try:
        before = None if database.is_missing else (await database.schema()).current
        await database.migrate()
        return before, (await database.schema()).current
    finally:
        await database.dispose()


def migrations_folder() -> Path:
    """Where the migrations lie: inside an installed package, else beside it in a checkout."""
    package = Path(__file__).resolve().parent
    packaged = package / "_migrations"
    return packaged if packaged.is_dir() else package.parent / "migrations"


def _alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


@functools.cache
def _newest_revision() -> str:
    return ScriptDirectory.from_config(_alembic_config()).get_current_head() or "base"


@functools.cache
def _revisions() -> frozenset[str]:
    return frozenset(script.revision for script in ScriptDirectory.from_config(_alembic_config()).walk_revisions())


async def _while_busy(attempt: Callable[[], Awaitable[None]], patience_s: float) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience_s
    told = ""
    while True:
        try:
            return await attempt()
        except DatabaseUnavailable as error:
            if loop.time() > deadline:
                raise
            if str(error) != told:
                told = str(error)
                _log.warning("waiting up to %.0f s for the database: %s", deadline - loop.time(), told)
            await asyncio.sleep(0.2)


@asynccontextmanager
async def _named_errors() -> AsyncGenerator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        detail = str(getattr(error, "orig", None) or error)
        raise (DatabaseUnavailable(detail) if _is_transient(error) else DatabaseError(detail)) from error
    except (OSError, TimeoutError) as error:
        raise DatabaseUnavailable(str(error) or type(error).__name__) from error


def _is_transient(error: SQLAlchemyError) -> bool:
    if not isinstance(error, DBAPIError):
        return type(error).__name__ == "TimeoutError"  # the pool had no connection to give
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return str(state).startswith(_POSTGRES_SHUTTING_DOWN_OR_CONFLICT)
    words = str(error.orig).lower()
    return error.connection_invalidated or any(word in words for word in _SQLITE_CANNOT_NOW)


def _driver_url(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise DatabaseError("database.url: is no URL; e.g. sqlite+aiosqlite:///spillway.db would be right") from error
    drivers = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}
    driver = drivers.get(parsed.get_backend_name())
    if driver is None:
        raise DatabaseError(f"database.url: must be SQLite or PostgreSQL, not {parsed.get_backend_name()!r}")
    parsed = parsed.set(drivername=driver)
    if driver.startswith("sqlite") and parsed.database in (None, "", ":memory:"):
        raise DatabaseError("database.url: SQLite needs a file, e.g. sqlite+aiosqlite:///spillway.db")
    return parsed


class _File:
    """A SQLite file, and whether its path still leads to the one that was opened first.

    Where it does not, an open connection goes on writing into a file without a name: rows that nobody finds again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._opened: tuple[int, int] | None = None

    def opened(self) -> None:
        self._opened = self._opened or self._now()

    def has_gone(self) -> bool:
        return self._opened is not None and self._opened != self._now()

    def _now(self) -> tuple[int, int] | None:
        try:
            state = self.path.stat()
        except OSError:
            return None
        return state.st_dev, state.st_ino


def _sqlite_engines(url: URL, file: _File) -> tuple[AsyncEngine, AsyncEngine]:
    path = file.path
    reader = create_async_engine(url, pool_size=4, max_overflow=8, pool_timeout=10)
    writer = create_async_engine(url, pool_size=1, max_overflow=0, pool_timeout=30)

    def connect(dbapi_connection: Any, _record: object) -> None:
        dbapi_connection.isolation_level = None  # transactions begin where we say, not where the driver guesses
        cursor = dbapi_connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")  # a reservation that is committed outlives a power cut
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()
        file.opened()

    def private_file(_dialect: object, _record: object, _args: object, _kwargs: object) -> None:
        if not path.parent.is_dir():
            raise DatabaseError(f"database.url: there is no folder {path.parent.resolve()}; make it, or name another")
        # hashes of keys and the installation's secrets are in there: nobody else's business
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))

    for engine, begin in ((reader, "BEGIN"), (writer, "BEGIN IMMEDIATE")):
        event.listen(engine.sync_engine, "do_connect", private_file)
        event.listen(engine.sync_engine, "connect", connect)
        event.listen(engine.sync_engine, "begin", _beginner(begin))
    return reader, writer


def _beginner(statement: str) -> Callable[[Connection], None]:
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(statement)

    return begin
