"""``spillway ledger rollup``: bring the hourly sums up to date, make them anew, or hold them against the raw rows.

Knows options and words. How is known to ``fold.py``.
"""

import asyncio
from datetime import UTC, datetime
from typing import Annotated

import typer

from gateway.database import Database, DatabaseError
from gateway.ledger.rollups.fold import Rollups
from gateway.options import DEFAULT_CONFIG, ConfigOption


def rollup(
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Make every hour anew from its raw rows.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Name the hours that differ from their raw rows.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Bring the hourly sums up to date. A gateway that runs does so by itself; any number may at once."""
    from gateway.config.check import load_settings
    from gateway.ledger.cli import the_ledger

    url = load_settings(config, serving=False).database_url

    async def work() -> list[int]:
        async with the_ledger(url) as database:
            await _fold(database, rebuild=rebuild)
            return [hour async for hour in Rollups(database).check()] if check else []

    wrong = asyncio.run(work())
    for hour in wrong:
        typer.echo(f"{datetime.fromtimestamp(hour / 1_000_000, UTC):%Y-%m-%d %H:00} differs from its raw rows")
    if wrong:
        raise typer.Exit(1)
    if check:
        typer.echo("every hour equals its raw rows")


async def _fold(database: Database, *, rebuild: bool) -> None:
    hours, complete = 0, False
    while not complete:
        folded = await Rollups(database).fold(rebuild=rebuild)
        if folded.busy:
            raise DatabaseError(f"{database.name}: another process is rolling up; try again in two minutes")
        hours, complete, rebuild = hours + folded.hours, folded.complete, False
    typer.echo(f"{hours} hours rolled up")
