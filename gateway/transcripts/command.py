"""``spillway transcripts``: write what is kept as a log to train from, or let go of it.

Knows options and files. What stands in a line is known to ``log.py``.
"""

import asyncio
import sys
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from gateway.errors import InvalidRequest
from gateway.ledger.cli import (
    KeyOption,
    OrgOption,
    PolicyOption,
    SinceOption,
    TeamOption,
    UntilOption,
    moment,
    the_ledger,
)
from gateway.ledger.export.files import write_file
from gateway.ledger.reports import Span
from gateway.options import DEFAULT_CONFIG, ConfigOption
from gateway.transcripts.log import ids, lines
from gateway.transcripts.partitioned import write_partitioned
from gateway.transcripts.store import TranscriptStore

if TYPE_CHECKING:
    from gateway.config.settings import Settings

_GZIP = 31  # zlib's word for a gzip stream with the largest window

transcripts = typer.Typer(no_args_is_help=True, help="Questions and answers that were kept.")
app = typer.Typer()
app.add_typer(transcripts, name="transcripts")


class _Told:
    """Counts what passes."""

    def __init__(self) -> None:
        self.requests = self.answers = self.labels = 0

    async def counted(self, pages: AsyncIterator[Sequence[dict[str, Any]]]) -> AsyncGenerator[Sequence[dict[str, Any]]]:
        async for page in pages:
            for line in page:
                self.requests += 1
                self.answers += len(line["answers"])
                self.labels += sum("quality" in answer for answer in line["answers"].values())
            yield page


@transcripts.command("export")
def export(
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="A file; packed if it ends in .gz. Default: standard output.")
    ] = None,
    parquet: Annotated[
        Path | None,
        typer.Option("--parquet", metavar="DIR", help="Instead, a folder of Parquet, parted by split and shard."),
    ] = None,
    shards: Annotated[int, typer.Option(min=1, max=10_000, help="With --parquet, files of each split.")] = 16,
    dev_share: Annotated[
        float, typer.Option(min=0, max=1, help="Of conversations, whose lines are of the split dev.")
    ] = 0.2,
    labelled: Annotated[bool, typer.Option("--labelled", help="Only answers that somebody labelled.")] = False,
    since: SinceOption = None,
    until: UntilOption = None,
    org: OrgOption = None,
    team: TeamOption = None,
    key: KeyOption = None,
    policy: PolicyOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Write a log that ``spillway train`` reads: a line for each request, with the answers of every model asked."""
    if out is not None and parquet is not None:
        raise InvalidRequest("--out or --parquet, not both", param="parquet", code="invalid_parameter")
    span, told = _span(since, until, org, team, key, policy), _Told()

    async def work() -> None:
        from gateway.config.mixtures import mixtures_of  # noqa: PLC0415 - help stays quick

        settings = _settings(config)
        async with the_ledger(settings.database_url) as database:
            mixtures = mixtures_of(settings)
            pages = lines(database, span, dev_share=dev_share, labelled=labelled, mixtures=mixtures)
            if parquet is not None:
                await write_partitioned(parquet, told.counted(pages), shards=shards)
                return
            parts = _encoded(told.counted(pages))
            if out is not None:
                await write_file(out, _packed(parts) if out.suffix == ".gz" else parts)
                return
            async for part in parts:
                sys.stdout.buffer.write(part)
            sys.stdout.buffer.flush()

    asyncio.run(work())
    typer.echo(f"{told.requests} requests, {told.answers} answers, {told.labels} of them labelled", err=True)


@transcripts.command("drop")
def drop(
    since: SinceOption = None,
    until: UntilOption = None,
    org: OrgOption = None,
    team: TeamOption = None,
    key: KeyOption = None,
    policy: PolicyOption = None,
    everything: Annotated[bool, typer.Option("--everything", help="Without any other option: all of them.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Let go of questions and answers for good: of a key, a team, an organisation, a policy, a time. Money stays."""
    span = _span(since, until, org, team, key, policy)
    if span == Span() and not everything:
        raise InvalidRequest("say whose, or --everything", param="everything", code="invalid_parameter")

    async def work() -> int:
        async with the_ledger(_settings(config).database_url) as database:
            store, dropped = TranscriptStore(database), 0
            while found := await ids(database, span):
                dropped += await store.drop(found)
            return dropped

    typer.echo(f"{asyncio.run(work())} questions and answers dropped")


def _settings(config: Path) -> "Settings":
    from gateway.config.check import load_settings  # noqa: PLC0415 - help stays quick

    return load_settings(config, serving=False)


def _span(
    since: str | None, until: str | None, org: str | None, team: str | None, key: str | None, policy: str | None
) -> Span:
    return Span(
        since=moment("--since", since),
        until=moment("--until", until),
        tenant_id=org,
        team_id=team,
        key_id=key,
        policy=policy,
    )


async def _encoded(pages: AsyncIterator[Sequence[dict[str, Any]]]) -> AsyncGenerator[bytes]:
    async for page in pages:
        for line in page:
            yield orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


async def _packed(parts: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    packing = zlib.compressobj(wbits=_GZIP)
    async for part in parts:
        yield packing.compress(part)
    yield packing.flush()
