"""How a command of the operator reaches what it manages: one short visit to the database.

Knows connections and tables on a terminal. Whoever can read the configuration file is the operator.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import orjson
import typer

from gateway.config.check import load_settings
from gateway.database import Database

T = TypeVar("T")


def visit(config: Path, act: Callable[[Database], Awaitable[T]]) -> T:
    """Do something with the configured database, brought up to this version's schema. Raises GatewayError."""

    async def there_and_back() -> T:
        database = Database(load_settings(config, serving=False).database_url)
        try:
            await database.migrate()
            return await act(database)
        finally:
            await database.dispose()

    return asyncio.run(there_and_back())


def show(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool, nothing: str) -> None:
    """A table for people, or everything as JSON for programs."""
    if as_json:
        sys.stdout.write(orjson.dumps(list(rows), option=orjson.OPT_INDENT_2).decode() + "\n")
        return
    if not rows:
        typer.echo(nothing)
        return
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(line[n]) for line in [list(columns), *cells]) for n in range(len(columns))]
    for line in [list(columns), *cells]:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _cell(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return "" if value is None else str(value)
