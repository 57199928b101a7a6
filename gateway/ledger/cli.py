"""``spillway spend``: what was spent, as a table for people or as JSON for programs.

Knows how amounts are shown. An amount that is not known is said to be unknown and is never shown as zero.
"""

import asyncio
import csv
import io
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
import typer

from gateway.database import Database, DatabaseError
from gateway.errors import GatewayError
from gateway.keys import KeyStore
from gateway.ledger.entry import usd
from gateway.ledger.reports import Reports, Span, SpendRow
from gateway.ledger.savings import Savings, read_savings
from gateway.options import DEFAULT_CONFIG, ConfigOption
from gateway.tenancy.directory import Directory

app = typer.Typer()

SinceOption = Annotated[
    str | None, typer.Option("--since", "--from", help="From this day or moment on (ISO 8601, UTC).")
]
UntilOption = Annotated[str | None, typer.Option("--until", "--to", help="Until before this day or moment.")]
OrgOption = Annotated[str | None, typer.Option("--org", "--tenant", help="Of this organisation only.")]
TeamOption = Annotated[str | None, typer.Option("--team", help="Of this team's id only.")]
KeyOption = Annotated[str | None, typer.Option("--key", help="Of this key's id only.")]
PolicyOption = Annotated[str | None, typer.Option("--policy", help="Of this policy only.")]
ModelOption = Annotated[str | None, typer.Option("--model", help="Of calls to this model only.")]
ProviderOption = Annotated[str | None, typer.Option("--provider", help="Of calls that this provider bills only.")]
KindOption = Annotated[str | None, typer.Option("--kind", help="Of this kind of calls only: answer, shadow, judge, …")]
TagOption = Annotated[str | None, typer.Option("--tag", help="Of requests with this tag only: NAME=VALUE.")]


class BadMoment(GatewayError):
    """A point in time is not one."""


class BadTag(GatewayError):
    """A tag is not one."""


@app.command()
def spend(
    by: Annotated[
        str, typer.Option(help="hour, day, model, provider, org, team, key, policy, kind or tag:NAME.")
    ] = "model",
    since: SinceOption = None,
    until: UntilOption = None,
    org: OrgOption = None,
    team: TeamOption = None,
    key: KeyOption = None,
    policy: PolicyOption = None,
    model: ModelOption = None,
    provider: ProviderOption = None,
    kind: KindOption = None,
    tag: TagOption = None,
    savings: Annotated[
        bool, typer.Option("--savings", help="What was saved against the reference model, or lost.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON, with integer nano-USD.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV, with the fields of the JSON.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """What was spent, and on what: exact sums, rejected attempts and corrections included."""
    from gateway.config.check import load_settings

    span = Span(
        since=moment("--since", since),
        until=moment("--until", until),
        tenant_id=org,
        team_id=team,
        key_id=key,
        policy=policy,
        model=model,
        provider=provider,
        kind=kind,
        tag=parsed_tag(tag),
    )
    url = load_settings(config, serving=False).database_url
    if savings:
        return say_savings(asyncio.run(read_saved(url, span)), as_json=as_json)
    rows, total = asyncio.run(read_spend(url, by, span))
    if as_json:
        sys.stdout.write(as_report(by, span, rows, total))
    elif as_csv:
        sys.stdout.write(csv_of(rows))
    else:
        _show(by, rows, total)
    return None


async def read_spend(url: str, by: str, span: Span) -> tuple[Sequence[tuple[str, SpendRow]], SpendRow]:
    """Rows with their names, and the total. Raises DatabaseError where there is no ledger of this version."""
    async with the_ledger(url) as database:
        reports = Reports(database)
        rows, total = await reports.spend(by, span), await reports.total(span)
        names = await names_of(database, by)
    return [(names.get(row.heading or "", row.heading or "(none)"), row) for row in rows], total


async def read_saved(url: str, span: Span) -> Savings:
    """Raises DatabaseError where there is no ledger of this version."""
    async with the_ledger(url) as database:
        return await read_savings(database, span)


@asynccontextmanager
async def the_ledger(url: str) -> AsyncGenerator[Database]:
    """A database that holds a ledger of this version. Raises DatabaseError where it does not."""
    database = Database(url)
    try:
        if database.is_missing or not (await database.schema()).at_head:
            raise DatabaseError(f"{database.name}: holds no ledger of this version; `spillway serve` makes it")
        yield database
    finally:
        await database.dispose()


async def names_of(database: Database, by: str) -> dict[str, str]:
    """What people call the headings, where those are ids."""
    if by == "key":
        return {key.key_id: key.name for key in await KeyStore(database).list()}
    if by == "team":
        return {team.team_id: team.name for team in await Directory(database).teams()}
    return {}


def as_report(by: str, span: Span, rows: Sequence[tuple[str, SpendRow]], total: SpendRow) -> str:
    """One JSON object, ending in a new line."""
    report: dict[str, Any] = {
        "by": by,
        "since": None if span.since is None else span.since.isoformat(),
        "until": None if span.until is None else span.until.isoformat(),
        "rows": [{"name": name, **row.as_json()} for name, row in rows],
        "total": total.as_json(),
    }
    return orjson.dumps(report, option=orjson.OPT_INDENT_2).decode() + "\n"


def _show(by: str, rows: Sequence[tuple[str, SpendRow]], total: SpendRow) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(by)
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


def csv_of(rows: Sequence[tuple[str, SpendRow]]) -> str:
    """One line per row, with a header; what is unknown is empty."""
    lines = [{"name": name, **row.as_json()} for name, row in rows]
    said = io.StringIO()
    writer = csv.DictWriter(said, list(lines[0]) if lines else ["name"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return said.getvalue()


def parsed_tag(text: str | None) -> tuple[str, str] | None:
    """NAME=VALUE. Raises BadTag."""
    if text is None:
        return None
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise BadTag(f"--tag: {text!r} is no tag; NAME=VALUE would be right, such as team=search")
    return name, value


def say_savings(savings: Savings, *, as_json: bool) -> None:
    """For people or programs."""
    told = savings.as_json()
    if as_json:
        sys.stdout.write(orjson.dumps(told, option=orjson.OPT_INDENT_2).decode() + "\n")
        return
    for line in savings_in_words(savings, told):
        typer.echo(line)


def savings_in_words(savings: Savings, told: Mapping[str, Any]) -> list[str]:
    """A lost amount is said to be lost."""
    word = "saved" if savings.saved_nanousd >= 0 else "LOST"
    interval = told["interval_95_usd"]
    between = f" (95 %: {interval[0]} … {interval[1]} USD saved)" if interval else ""
    share = told["share_of_reference"]
    lines = [
        f"{word} {usd(abs(savings.saved_nanousd))} USD{between}",
        f"  the reference model alone: {told['reference_usd']} USD; everything spent: {told['spent_usd']} USD"
        + (f"; {share:.1%} of the reference" if share is not None else ""),
    ]
    for name, part in told["by_source"].items():
        lines.append(f"  {name}: {part['requests']} requests, {part['saved_usd']} USD saved; {part['meaning']}")
    for name, part in told["not_compared"].items():
        if part["requests"]:
            lines.append(f"  {name.replace('_', ' ')}: {part['requests']} requests, {part['spent_usd']} USD spent")
    return [*lines, *told["cannot_be_said"]]


def _times(attempts: int) -> str:
    return f"{attempts} attempt is" if attempts == 1 else f"{attempts} attempts are"


def moment(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadMoment(
            f"{option}: {text!r} is no day or moment; 2026-01-31 or 2026-01-31T12:00 would be right"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
