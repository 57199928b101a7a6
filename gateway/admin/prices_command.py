"""``spillway prices``: compare price lists, take prices over, and put what was settled down at other prices.

Knows how lists are shown and written. Knows no rate and no row.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from gateway.budgets.counters import BudgetCounters
from gateway.database import Database, DatabaseError
from gateway.errors import GatewayError
from gateway.ledger.entry import usd
from gateway.ledger.liveness import Identity
from gateway.ledger.repricing import Repriced, read_price_version, reprice
from gateway.ledger.store import LedgerStore
from gateway.options import DEFAULT_CONFIG, ConfigOption
from router.backends.hosted_catalog import known_price
from router.ids import new_id
from router.pricing import METERS, Meter, Price, PriceBook

if TYPE_CHECKING:
    from gateway.config.settings import Settings

app = typer.Typer()
prices = typer.Typer(no_args_is_help=True)
app.add_typer(prices, name="prices")

SourceArgument = Annotated[
    Path | None, typer.Argument(help="A price list (YAML or JSON). Without one: litellm's map, for hosted models.")
]


class BadPrices(GatewayError):
    """Prices cannot be taken over as asked."""


@prices.callback()
def about() -> None:
    """What models cost: compare, take over, and price anew."""


@prices.command("diff")
def diff(source: SourceArgument = None, config: ConfigOption = DEFAULT_CONFIG) -> None:
    """What another list says otherwise than today's prices; ends with 1 where something differs."""
    settings = _settings(config)
    changed = [*_changes(_today(settings), _listed(settings, source))]
    for model, before, after in changed:
        typer.echo(f"{model}: {_told(before)} -> {_told(after)}")
    if changed:
        raise typer.Exit(1)
    typer.echo("no price differs")


@prices.command("import")
def take_over(
    source: SourceArgument = None,
    since: Annotated[str | None, typer.Option("--from", help="In force from this day or moment on (UTC).")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Write what differs into the configured price list; what was in force ends at that moment."""
    settings = _settings(config)
    if settings.prices is None:
        raise BadPrices("prices: is not configured; name a JSON file there, which prices can be written to")
    path = settings.locate(settings.prices)
    if path.suffix.lower() != ".json":
        raise BadPrices(f"{path}: prices are written to JSON only; a list in YAML is yours to edit")
    start = _moment(since) if since else datetime.now(UTC).replace(microsecond=0)
    changed = [*_changes(_today(settings), _listed(settings, source))]
    versions = list(PriceBook.load(path)) if path.exists() else []
    for model, _, after in changed:
        versions = [*(_ended(price, start) if price.model == model else price for price in versions)]
        versions.append(replace(after, model=model, effective_from=start, effective_until=None))
    _write(path, versions)
    typer.echo(f"{path}: {len(changed)} prices in force from {start.isoformat()}")


@prices.command("reprice")
def price_anew(
    since: Annotated[str, typer.Option("--from", help="Attempts made since this day or moment (ISO 8601, UTC).")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Put settled attempts down at the prices as they are configured now; adds corrections, changes no row."""
    from gateway.config.prices import price_book

    settings = _settings(config)
    result = asyncio.run(_reprice(settings.database_url, price_book(settings), _moment(since), dry_run=dry_run))
    change = result.after_nanousd - result.before_nanousd
    typer.echo(
        f"{result.looked_at} attempts looked at, {result.corrected} {'would be ' * dry_run}corrected, "
        f"{result.unpriced} without a price; USD {usd(result.before_nanousd)} -> {usd(result.after_nanousd)} "
        f"({'+' * (change > 0)}{usd(change)})"
    )


@prices.command("version")
def what_it_says(
    version: Annotated[str, typer.Argument(help="As amounts in the ledger name it, such as pr_0123456789ab.")],
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """What a price version says that amounts in the ledger refer to, as JSON: rates, bands, dates and source."""
    content = asyncio.run(_version(_settings(config).database_url, version))
    if content is None:
        raise BadPrices(f"{version}: no amount in this ledger was computed with such a price")
    typer.echo(orjson.dumps(content, option=orjson.OPT_INDENT_2).decode())


async def _version(url: str, version: str) -> dict[str, object] | None:
    database = await _ledger_in(url)
    try:
        return await read_price_version(database, version)
    finally:
        await database.dispose()


async def _ledger_in(url: str) -> Database:
    database = Database(url)
    if database.is_missing or not (await database.schema()).at_head:
        await database.dispose()
        raise DatabaseError(f"{database.name}: holds no ledger of this version; `spillway serve` makes it")
    return database


async def _reprice(url: str, book: PriceBook, since: datetime, *, dry_run: bool) -> Repriced:
    database = await _ledger_in(url)
    try:
        store = LedgerStore(database, new_id("wr"), BudgetCounters(database))  # budgets hear of what changes
        await store.register(Identity.of_this_process(), time.time_ns() // 1000)
        reason = f"priced anew from {since.isoformat()} on"
        result = await reprice(database, store, book, since, reason=reason, dry_run=dry_run)
        await store.renew(time.time_ns() // 1000, stopped=True)
    finally:
        await database.dispose()
    return result


def _settings(config: Path) -> "Settings":
    from gateway.config.check import load_settings

    return load_settings(config, serving=False)


def _today(settings: "Settings") -> dict[str, Price | None]:
    from gateway.config.prices import price_book

    book, now = price_book(settings), datetime.now(UTC)
    return {model.name: book.price(model.name, now) for model in settings.models}


def _listed(settings: "Settings", source: Path | None) -> dict[str, Price]:
    from gateway.config.prices import names_in_lists

    book = PriceBook() if source is None else PriceBook.load(source)
    found = {}
    for model in settings.models:
        names = names_in_lists(model)
        price = next((price for name in names if (price := book.price(name, region=model.region)) is not None), None)
        if source is None and model.backend == "hosted":
            price = known_price(model.upstream_model or model.name, model.region)
        if price is not None:
            found[model.name] = price
    return found


def _changes(before: dict[str, Price | None], after: dict[str, Price]) -> Iterator[tuple[str, Price | None, Price]]:
    for model, price in sorted(after.items()):
        old = before.get(model)
        if old is None or (dict(old.rates), dict(old.bands)) != (dict(price.rates), dict(price.bands)):
            yield model, old, price


def _told(price: Price | None) -> str:
    if price is None:
        return "unknown"

    def rates(of: "Mapping[Meter, Decimal]") -> str:
        return " ".join(f"{meter} {of[meter].normalize():f}" for meter in METERS if meter in of)

    bands = [f"above {n}: {rates(band)}" for n, band in sorted(price.bands.items())]
    return "; ".join([rates(price.rates), *bands])


def _ended(price: Price, moment: datetime) -> Price:
    if price.effective_until is not None and price.effective_until <= moment:
        return price
    if price.effective_from is not None and price.effective_from >= moment:
        raise BadPrices(
            f"{price.model}: has a price from {price.effective_from.isoformat()} on; end or remove it first"
        )
    return replace(price, effective_until=moment)


def _write(path: Path, versions: list[Price]) -> None:
    models: dict[str, list[dict[str, object]]] = {}
    for price in versions:
        models.setdefault(price.model, []).append(price.as_json())
    beside = path.with_name(path.name + ".new")
    beside.write_bytes(orjson.dumps({"unit": "USD per 1,000,000 tokens", "models": models}, option=orjson.OPT_INDENT_2))
    beside.replace(path)


def _moment(value: str) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise BadPrices(f"--from: must be a day or an ISO 8601 time, e.g. 2026-10-01, not {value!r}") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
