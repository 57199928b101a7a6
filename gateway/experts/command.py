"""``spillway backends``: what the configured endpoints can do, by asking them, and what was found before.

Knows options and words.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
import typer

from gateway.admin.visit import show, visit
from gateway.budgets.counters import BudgetCounters
from gateway.config.check import load_settings
from gateway.config.settings import Settings
from gateway.database import Database
from gateway.errors import GatewayError
from gateway.experts.prober import Prober, Site, sites_of
from gateway.experts.store import Kept, ProbeStore
from gateway.ledger.tariff import Tariff
from gateway.ledger.writer import LedgerWriter
from gateway.offer import tariff_of
from gateway.options import DEFAULT_CONFIG, ConfigOption
from router.experts.findings import Probed
from router.pricing import PriceBook

app = typer.Typer()
backends = typer.Typer(no_args_is_help=True)
app.add_typer(backends, name="backends")
JsonOption = Annotated[bool, typer.Option("--json", help="JSON, with everything.")]
COLUMNS = ("model", "deployment", "engine", "context", "lacks", "unknown", "since")


class CannotProbe(GatewayError):
    """There is nothing that could be asked."""


@backends.callback()
def about() -> None:
    """What models behind OpenAI-compatible endpoints can really do."""


@backends.command("probe")
def probe(
    name: Annotated[str, typer.Argument(help="A model of the configuration.")],
    as_json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Ask each deployment of a model what it can do: a few calls, some 150 tokens each, written down in the ledger.

    What it is seen to do without, requests that need it do not get from it, whatever the configuration says. A serving
    gateway hears of it within half a minute. Ends with 1 where an ability is missing.
    """
    settings = load_settings(config, serving=False)
    reports = asyncio.run(_probe(settings, _sites(settings, name)))
    if as_json:
        typer.echo(orjson.dumps([report.as_json() for report in reports], option=orjson.OPT_INDENT_2).decode())
    else:
        for report in reports:
            typer.echo(_told(report))
    if any(report.lacks for report in reports):
        raise typer.Exit(1)


@backends.command("show")
def show_known(as_json: JsonOption = False, config: ConfigOption = DEFAULT_CONFIG) -> None:
    """What is known of each deployment, from its newest probe."""
    kept = visit(config, lambda database: ProbeStore(database).newest())
    if as_json:
        typer.echo(orjson.dumps([_row(each) | each.report.as_json() for each in kept]).decode())
    else:
        show([_row(each) for each in kept], COLUMNS, as_json=False, nothing="nothing was probed yet")


def _sites(settings: Settings, name: str) -> Sequence[Site]:
    model = next((model for model in settings.models if model.name == name), None)
    if model is None:
        names = ", ".join(model.name for model in settings.models)
        raise CannotProbe(f"{settings.path}: has no model {name!r}; there are {names}")
    sites = list(sites_of(settings, model))
    if not sites:
        said = "only chat models with backend: openai_compatible can be probed"
        raise CannotProbe(f"{name}: is {model.backend} and serves {model.serves}; {said}")
    return sites


async def _probe(settings: Settings, sites: Sequence[Site]) -> list[Probed]:
    database = Database(settings.database_url)
    try:
        await database.migrate()
        ledger = LedgerWriter(database, PriceBook(), reservations=BudgetCounters(database))
        await ledger.start()
        try:
            prober, tariff = Prober(ProbeStore(database), ledger), tariff_of(settings)
            return [await _one(prober, site, tariff) for site in sites]
        finally:
            await ledger.stop()
    finally:
        await database.dispose()


async def _one(prober: Prober, site: Site, tariff: Tariff) -> Probed:
    return await prober.probe(site, tariff, await site.look())


def _row(kept: Kept) -> dict[str, Any]:
    report = kept.report
    return {
        "model": report.model,
        "deployment": report.deployment,
        "engine": report.looks.engine or "?",
        "context": report.looks.context_tokens or "?",
        "lacks": ", ".join(sorted(report.lacks)) or "-",
        "unknown": ", ".join(found.ability for found in report.findings if found.verdict == "unknown") or "-",
        "since": f"{datetime.fromtimestamp(kept.since_us / 1e6, UTC):%Y-%m-%d %H:%M}",
    }


def _told(report: Probed) -> str:
    looks = report.looks
    head = f"{report.model}, deployment {report.deployment}: {looks.engine or 'an unknown engine'}"
    head += f", context {looks.context_tokens or 'unknown'}, {'counts' if looks.tokenizes else 'does not count'} tokens"
    lines = [f"  {found.verdict:<8}{found.ability:<14}{found.detail}".rstrip() for found in report.findings]
    return "\n".join([head, *lines])
