"""``spillway ledger retain``: drop what has had its time now, or say what would go.

Knows options and words. How is known to ``retention.py``.
"""

import asyncio
from datetime import UTC, datetime
from typing import Annotated

import typer

from gateway.database import DatabaseError
from gateway.ledger.retention.retention import Ages, Retained, Retention
from gateway.options import DEFAULT_CONFIG, ConfigOption


def retain(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and drop nothing.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Drop what is older than ledger.retention says. A gateway that runs does so by itself, every hour."""
    from gateway.config.check import load_settings
    from gateway.ledger.cli import the_ledger

    settings = load_settings(config, serving=False)
    kept = settings.ledger.retention
    ages = Ages(details=kept.details_days, money=kept.money_days)

    async def work() -> Retained:
        async with the_ledger(settings.database_url) as database:
            done = await Retention(database).work(ages, dry_run=dry_run)
            if done.busy:
                raise DatabaseError(f"{database.name}: another process is at it; try again in five minutes")
            return done

    done = asyncio.run(work())
    for line in _told(ages, done, dry_run=dry_run):
        typer.echo(line)


def _told(ages: Ages, done: Retained, *, dry_run: bool) -> list[str]:
    if ages == Ages():
        return ["ledger.retention names no age: everything stays"]
    said = "would be dropped" if dry_run else "dropped"
    lines = [str(held) for held in done.held]
    if done.details_until_us is not None:
        until = datetime.fromtimestamp(done.details_until_us / 1_000_000, UTC)
        rows = "" if dry_run else f" of {done.details} rows"
        lines.append(f"details{rows} from before {until:%Y-%m-%d %H:00} UTC {said}")
    if done.money_before is not None:
        lines.append(f"money of the months before {done.money_before // 100}-{done.money_before % 100:02d} {said}")
    return lines or ["nothing has had its time"]
