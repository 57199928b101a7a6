"""``spillway export``: the ledger as a CSV or Parquet file.

Knows options and words. What is in a file is known to ``files.py``.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.ledger.cli import (
    KeyOption,
    KindOption,
    ModelOption,
    OrgOption,
    PolicyOption,
    ProviderOption,
    SinceOption,
    TagOption,
    TeamOption,
    UntilOption,
    moment,
    parsed_tag,
    the_ledger,
)
from gateway.ledger.export.files import content_of, write_file
from gateway.ledger.export.focus import FOCUS_COLUMNS, Focus, ListRate, Names
from gateway.ledger.export.formats import CannotExport, Format, checked_format, encoded, encoder_of
from gateway.ledger.export.listed import listed_rates
from gateway.ledger.reports import Span
from gateway.options import DEFAULT_CONFIG, ConfigOption
from gateway.tenancy.directory import Directory

if TYPE_CHECKING:
    from gateway.config.settings import Settings

app = typer.Typer()


@app.command()
def export(
    grain: Annotated[str, typer.Argument(help="requests, attempts, line-items, hours or focus.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="A file; without one, standard output.")] = None,
    as_format: Annotated[
        str | None, typer.Option("--format", help="csv or parquet; else as the file's name ends, or csv.")
    ] = None,
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
    list_prices: Annotated[
        Path | None, typer.Option(help="focus: a price list of public prices; else litellm's map, for hosted models.")
    ] = None,
    split: Annotated[list[str] | None, typer.Option(help="focus: a tag whose values get rows of their own.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Write the ledger to a file: amounts as integer nano-USD and as exact decimals, what is unknown as empty.

    Logs to train from, also as partitioned Parquet, are written by ``spillway transcripts export``.
    """
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
    chosen, settings = format_of(as_format, out), load_settings(config, serving=False)
    if grain == "focus":
        asyncio.run(_focus(settings, span, chosen, out, listed_rates(settings, list_prices), split or ()))
        return
    content = content_of(grain)
    encoder = encoder_of(chosen, content.columns)

    async def work() -> None:
        async with the_ledger(settings.database_url) as database:
            await deliver(out, encoded(encoder, content.pages(database, span)))

    asyncio.run(work())


async def _focus(
    settings: "Settings", span: Span, chosen: Format, out: Path | None, rate: ListRate, split: Sequence[str]
) -> None:
    encoder = encoder_of(chosen, FOCUS_COLUMNS)
    async with the_ledger(settings.database_url) as database:
        directory = Directory(database)
        names = Names(
            organisations={org.org_id: org.name for org in await directory.organisations()},
            teams={team.team_id: team.name for team in await directory.teams()},
        )
        focus = Focus(rate, names=names, split=split)
        await deliver(out, encoded(encoder, focus.pages(database, span)))
    if focus.unpriced.lines:
        typer.echo(f"{focus.unpriced.lines} lines without a known price are not in it: FOCUS has no unknown", err=True)


def format_of(asked: str | None, out: Path | None) -> Format:
    """As asked for, else as the file's name says. Raises CannotExport where Parquet would fill a terminal."""
    if asked is None:
        asked = "parquet" if out is not None and out.suffix.lower() in (".parquet", ".pq") else "csv"
    chosen = checked_format(asked)
    if chosen == "parquet" and out is None and sys.stdout.isatty():
        raise CannotExport("Parquet is nothing to look at: name a file with --out")
    return chosen


async def deliver(out: Path | None, parts: AsyncIterator[bytes]) -> None:
    """To the file, or to standard output."""
    if out is not None:
        return await write_file(out, parts)
    async for part in parts:
        sys.stdout.buffer.write(part)
    sys.stdout.buffer.flush()
    return None
