"""``spillway spend``: what was spent, as a table for people or as JSON for programs.

Knows how amounts are shown. An amount that is not known is said to be unknown and is never shown as zero.
"""

import asyncio
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import orjson
import typer

from gateway.database import Database, DatabaseError
from gateway.errors import GatewayError
from gateway.keys import KeyStore
from gateway.ledger.entry import usd
from gateway.ledger.reports import Reports, Span, SpendRow
from gateway.options import DEFAULT_CONFIG, ConfigOption

app = typer.Typer()


class By(StrEnum):
    """What spend can be broken down by."""

    MODEL = "model"
    KEY = "key"
    DAY = "day"


class BadMoment(GatewayError):
    """A point in time is not one."""


@app.command()
def spend(
    by: Annotated[By, typer.Option(help="What to break it down by.")] = By.MODEL,
    since: Annotated[str | None, typer.Option(help="From this day or moment on (ISO 8601, UTC).")] = None,
    until: Annotated[str | None, typer.Option(help="Until before this day or moment (ISO 8601, UTC).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON, with integer nano-USD.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """What was spent, by model, key or day: exact sums, rejected attempts included."""
    from gateway.config.check import load_settings

    url = load_settings(config, serving=False).database_url
    span = Span(since=_moment("--since", since), until=_moment("--until", until))
    rows, total = asyncio.run(read_spend(url, by, span))
    if as_json:
        sys.stdout.write(as_report(by, span, rows, total))
    else:
        _show(by, rows, total)


async def read_spend(url: str, by: By, span: Span) -> tuple[Sequence[tuple[str, SpendRow]], SpendRow]:
    """Rows with their names, and the total. Raises DatabaseError where there is no ledger of this version."""
    database = Database(url)
    try:
        if database.is_missing or not (await database.schema()).at_head:
            raise DatabaseError(f"{database.name}: holds no ledger of this version; `spillway serve` makes it")
        reports = Reports(database)
        rows, total = await reports.spend(by.value, span), await reports.total(span)
        names = {key.key_id: key.name for key in await KeyStore(database).list()} if by is By.KEY else {}
    finally:
        await database.dispose()
    return [(names.get(row.heading or "", row.heading or "(none)"), row) for row in rows], total


def as_report(by: By, span: Span, rows: Sequence[tuple[str, SpendRow]], total: SpendRow) -> str:
    """One JSON object, ending in a new line."""
    report: dict[str, Any] = {
        "by": by.value,
        "since": None if span.since is None else span.since.isoformat(),
        "until": None if span.until is None else span.until.isoformat(),
        "rows": [{"name": name, **row.as_json()} for name, row in rows],
        "total": total.as_json(),
    }
    return orjson.dumps(report, option=orjson.OPT_INDENT_2).decode() + "\n"


def _show(by: By, rows: Sequence[tuple[str, SpendRow]], total: SpendRow) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(by.value)
    for heading in ("attempts", "accepted", "rejected", "failed", "cost USD", "of it rejected", "unknown price"):
        table.add_column(heading, justify="right")
    for name, row in rows:
        table.add_row(name, *_cells(row))
    if len(rows) != 1:
        table.add_section()
        table.add_row("total", *_cells(total))
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(table if rows else "Nothing was asked in this time.", highlight=False)
    for remark in remarks(total):
        console.print(remark, highlight=False)


def _cells(row: SpendRow) -> tuple[str, ...]:
    return (
        str(row.attempts),
        str(row.accepted),
        str(row.rejected),
        str(row.failed + row.cancelled),
        "unknown" if row.nanousd is None else usd(row.nanousd),
        "unknown" if row.nanousd is None and row.rejected else usd(row.rejected_nanousd),
        str(row.unknown) if row.unknown else "",
    )


def remarks(total: SpendRow) -> list[str]:
    """What a reader of the sums has to know beside them."""
    said = []
    if total.unknown:
        said.append(f"{_times(total.unknown)} without a known price: what was spent is more than these sums.")
    if total.estimated:
        said.append(f"{_times(total.estimated)} estimated, {usd(total.estimated_nanousd)} USD of the sums.")
    if total.open:
        said.append(f"{_times(total.open)} not settled yet, bounded by {usd(total.reserved_nanousd)} USD.")
    if total.cache_hits:
        said.append(f"{total.cache_hits} answers from the cache saved {usd(total.saved_nanousd)} USD.")
    return said


def _times(attempts: int) -> str:
    return f"{attempts} attempt is" if attempts == 1 else f"{attempts} attempts are"


def _moment(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadMoment(
            f"{option}: {text!r} is no day or moment; 2026-01-31 or 2026-01-31T12:00 would be right"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
