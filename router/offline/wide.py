"""SQL that sets the answers to each query of a file side by side.

Knows the layout's columns and DuckDB. Knows no strategy.
"""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scorer.partitioned.layout import engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How a file is read. threads : of DuckDB, None for as many as there are cores."""

    threads: int | None = None
    memory_limit: str | None = None  # e.g. 2GB; None for DuckDB's own, four fifths of the machine's


def literal(value: str | float) -> str:
    """A value as SQL has it.

    >>> literal("it's"), literal(0.1)
    ("'it''s'", 'CAST(0.1 AS DOUBLE)')
    """
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return f"CAST({value!r} AS DOUBLE)"


def source_of(path: Path) -> str:
    """A file as a table, with no columns but its own."""
    return f"read_parquet({literal(str(path))}, hive_partitioning = false)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wide:
    """Columns by name, each of one model's row: ``{"q0": ("small", "quality_nano")}``; ``keep`` of any of the rows."""

    columns: Mapping[str, tuple[str, str]]
    keep: Sequence[str] = ()

    def sql(self, path: Path) -> str:
        """A query of one row for each query of the log that has all of the columns; others are not in it."""
        models = ", ".join(sorted({literal(model) for model, _ in self.columns.values()}))
        told = [f"max({column}) FILTER (WHERE model = {literal(model)}) AS {name}"
                for name, (model, column) in self.columns.items()]  # fmt: skip
        told += [f"any_value({column}) AS {column}" for column in self.keep]
        complete = " AND ".join(f"{name} IS NOT NULL" for name in self.columns)
        return (
            f"SELECT * FROM (SELECT {', '.join(told)} FROM {source_of(path)} WHERE model IN ({models}) "
            f"GROUP BY query) WHERE {complete}"
        )


def connected(reading: Reading) -> "closing[Any]":
    """A database in memory, for one file. Raises MissingExtra."""
    settings: dict[str, str | bool | int | float | list[str]] = {"preserve_insertion_order": False}
    if reading.threads is not None:
        settings["threads"] = reading.threads
    if reading.memory_limit is not None:
        settings["memory_limit"] = reading.memory_limit
    return closing(engine().connect(":memory:", config=settings))
