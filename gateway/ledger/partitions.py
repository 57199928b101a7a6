"""PostgreSQL keeps each month of the ledger in a partition of its own; these are made ahead of time.

Rows of a month without a partition of its own lie in the default one: nothing is refused for want of a partition.
Knows names and the statements that make partitions. SQLite has plain tables, for which there is nothing to do.
"""

import contextlib
import re
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Table, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.database import Database, DatabaseError, DatabaseUnavailable
from gateway.ledger.tables import BY_MONTH

MONTHS_AHEAD = 3

_PARTITION = re.compile(r"_(y\d{4}m\d{2}|default)$")
_LOCK = 0x5B111_A7E6  # any number that no other program takes an advisory lock on


def is_partition(table_name: str) -> bool:
    """Whether a table is a part of another one, by its name."""
    return _PARTITION.search(table_name) is not None


def is_our_own(thing: Any, name: str | None, kind: str, _reflected: bool, _other: object) -> bool:
    """For Alembic's ``include_object``: whether to compare a thing of the database with the models at all.

    Partitions are made by the app, and PostgreSQL shows a reference to a table once more for each of its partitions.
    """
    if kind == "foreign_key_constraint":
        return not is_partition(thing.elements[0].target_fullname.partition(".")[0])
    return kind != "table" or not is_partition(name or "")


def months_from(month: int, count: int) -> list[int]:
    """So many months, this one first.

    >>> months_from(202611, 3)
    [202611, 202612, 202701]
    """
    first = month // 100 * 12 + month % 100 - 1
    return [n // 12 * 100 + n % 12 + 1 for n in range(first, first + count)]


def partition_name(table: str, month: int) -> str:
    """Of the partition that holds a month.

    >>> partition_name("attempts", 202611)
    'attempts_y2026m11'
    """
    return f"{table}_y{month // 100:04d}m{month % 100:02d}"


async def make_partitions(database: Database, months: Sequence[int]) -> list[str]:
    """Make those partitions of the months that are not there yet and return their names.

    A month that has rows in the default partition already stays there: said by a DatabaseError, after all the others
    were made; so is one that somebody who reads for long is in the way of, by a DatabaseUnavailable.
    """
    if database.is_sqlite:
        return []
    made, failed, waiting = [], [], []
    for table, month in await _missing(database, BY_MONTH, months):
        try:
            async with database.write() as connection:
                await _make(connection, table.name, month)
        except DatabaseUnavailable as error:
            waiting.append(f"{partition_name(table.name, month)}: {error}")
        except DatabaseError as error:
            failed.append(f"{partition_name(table.name, month)}: {error}")
        else:
            made.append(partition_name(table.name, month))
    if waiting:
        raise DatabaseUnavailable("; ".join(waiting))
    if failed:
        raise DatabaseError("; ".join(failed))
    return made


async def drop_partitions(database: Database, tables: Iterable[Table], before: int, *, empty: bool = False) -> None:
    """Drop the partitions of months before this one, one transaction each; ``empty``: only those without a row.

    What cannot be had at once stays until the next time: nobody who writes waits for long.
    """
    async with database.read() as connection:
        query = text("SELECT inhrelid::regclass::text FROM pg_inherits")
        there = set((await connection.execute(query)).scalars())
    ours = {table.name for table in tables}
    for name in sorted(there):
        table, _, month = name.rpartition("_y")
        if table not in ours or not re.fullmatch(r"\d{4}m\d{2}", month) or int(month.replace("m", "")) >= before:
            continue
        if empty:  # by deletions it is still large, and what detaches it reads all of it
            await database.vacuum(name)
        with contextlib.suppress(DatabaseUnavailable):  # somebody holds it
            async with database.write() as connection:
                await connection.execute(text("SET LOCAL lock_timeout = '2s'"))
                if empty and (await connection.execute(text(f"SELECT 1 FROM {name} LIMIT 1"))).first():  # noqa: S608
                    continue
                await connection.execute(text(f"ALTER TABLE {table} DETACH PARTITION {name}"))
                await connection.execute(text(f"DROP TABLE {name}"))


async def _missing(database: Database, tables: Iterable[Table], months: Sequence[int]) -> list[tuple[Table, int]]:
    async with database.read() as connection:
        query = text("SELECT inhrelid::regclass::text FROM pg_inherits")
        there = set((await connection.execute(query)).scalars())
    return [(table, month) for table in tables for month in months if partition_name(table.name, month) not in there]


async def _make(connection: AsyncConnection, table: str, month: int) -> None:
    following = months_from(month, 2)[1]
    # a long query on the table must not make every other wait behind this one: it is tried again later
    await connection.execute(text("SET LOCAL lock_timeout = '2s'"))
    await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    await connection.execute(
        text(
            f"CREATE TABLE IF NOT EXISTS {partition_name(table, month)} PARTITION OF {table} "
            f"FOR VALUES FROM ({month}) TO ({following})"
        )
    )
