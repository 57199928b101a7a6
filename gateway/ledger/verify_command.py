"""``spillway ledger verify``: is the ledger as it was written?

Knows how a verdict is shown and kept. Knows no table.
"""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import orjson
import typer

from gateway.database import Database, DatabaseError
from gateway.errors import GatewayError
from gateway.ledger.retention.cli import retain
from gateway.ledger.rollups.cli import rollup
from gateway.ledger.verify import Verdict, verify
from gateway.options import DEFAULT_CONFIG, ConfigOption

app = typer.Typer()
ledger = typer.Typer(no_args_is_help=True, help="The ledger itself.")
app.add_typer(ledger, name="ledger")


class BadHeads(GatewayError):
    """A file of heads cannot be read."""


@ledger.callback()
def about() -> None:
    """The ledger itself: is it as it was written?"""


ledger.command("rollup")(rollup)
ledger.command("retain")(retain)


@ledger.command("verify")
def verify_ledger(
    heads: Annotated[
        Path | None, typer.Option(help="A file that keeps each writer's newest link: compared with, then renewed.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Check every row against its writer's hash chain; ends with 1 and names what was changed, removed or added."""
    from gateway.config.check import load_settings

    url = load_settings(config, serving=False).database_url
    verdict = asyncio.run(_verify(url, _read(heads)))
    if as_json:
        sys.stdout.write(_json(verdict))
    else:
        _show(verdict)
    if not verdict.is_sound:
        raise typer.Exit(1)
    if heads is not None:
        heads.write_bytes(orjson.dumps({str(writer): head for writer, head in verdict.heads.items()}))


async def _verify(url: str, heads: dict[int, tuple[int, str]]) -> Verdict:
    database = Database(url)
    try:
        if database.is_missing or not (await database.schema()).at_head:
            raise DatabaseError(f"{database.name}: holds no ledger of this version; `spillway serve` makes it")
        return await verify(database, heads=heads)
    finally:
        await database.dispose()


def _read(path: Path | None) -> dict[int, tuple[int, str]]:
    if path is None or not path.exists():
        return {}
    try:
        return {int(writer): (int(head[0]), str(head[1])) for writer, head in orjson.loads(path.read_bytes()).items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise BadHeads(f"{path}: holds no heads as `spillway ledger verify --heads` writes them: {error}") from error


def _json(verdict: Verdict) -> str:
    report = {
        "sound": verdict.is_sound,
        "rows": verdict.rows,
        "links": verdict.links,
        "unchained": verdict.unchained,
        "dropped_links": verdict.dropped_links,
        "dropped_before": verdict.before_month or None,
        "findings": [
            {"what": one.what, "table": one.table, "key": one.key, "link": one.link} for one in verdict.findings
        ],
        "more_findings": verdict.more,
        "heads": {str(writer): head for writer, head in verdict.heads.items()},
    }
    return orjson.dumps(report, option=orjson.OPT_INDENT_2).decode() + "\n"


def _show(verdict: Verdict) -> None:
    for finding in verdict.findings:
        typer.echo(str(finding))
    if verdict.more:
        typer.echo(f"and {verdict.more} more")
    said = "as written" if verdict.is_sound else "NOT as written"
    older = f", {verdict.unchained} of them from before there were chains" if verdict.unchained else ""
    if verdict.before_month:
        month = f"{verdict.before_month // 100}-{verdict.before_month % 100:02d}"
        typer.echo(f"before {month} {verdict.dropped_links} links were dropped; chains begin at their checkpoints")
    typer.echo(f"{verdict.rows} rows{older}, {verdict.links} links of {len(verdict.heads)} writers: {said}")
