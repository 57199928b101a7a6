"""``spillway reconcile``: a provider's file against the ledger.

Knows options and words. How the two are compared is known to ``compare.py``.
"""

import asyncio
import sys
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from gateway.ledger.cli import the_ledger
from gateway.ledger.entry import usd
from gateway.ledger.reconcile.booked import read_booked
from gateway.ledger.reconcile.compare import Variance, compare
from gateway.ledger.reconcile.invoice import Invoice, read_invoice
from gateway.ledger.reconcile.mapping import BadInvoice, plain_model
from gateway.ledger.reconcile.store import Reconciliations
from gateway.options import DEFAULT_CONFIG, ConfigOption

if TYPE_CHECKING:
    from gateway.config.settings import Settings

app = typer.Typer()


@app.command()
def reconcile(
    provider: Annotated[str, typer.Option(help="Whose file it is, as the ledger names it: openai, anthropic, …")],
    invoice: Annotated[Path, typer.Option(help="The provider's CSV file of usage or cost.")],
    columns: Annotated[
        str | None,
        typer.Option(
            help="openai-usage, openai-costs, anthropic-usage, anthropic-cost, or a YAML file that says "
            "what stands in which column; else it is told from the header."
        ),
    ] = None,
    tolerance: Annotated[str, typer.Option(help="USD by which an amount may differ.")] = "0.01",
    as_json: Annotated[bool, typer.Option("--json", help="JSON, with integer nano-USD.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Hold a provider's file against the ledger; ends with 1 and names each day, model and cause where they differ."""
    from gateway.config.check import load_settings

    settings = load_settings(config, serving=False)
    described = Path(columns) if columns is not None and columns.endswith((".yaml", ".yml", ".json")) else None
    read = read_invoice(invoice, name=None if described else columns, mapping=described)
    found = asyncio.run(_reconcile(settings, provider, invoice.name, read, _tolerance(tolerance)))
    if as_json:
        sys.stdout.write(
            orjson.dumps([variance.as_json() for variance in found], option=orjson.OPT_INDENT_2).decode() + "\n"
        )
    else:
        _show(read, found)
    if found:
        raise typer.Exit(1)


async def _reconcile(
    settings: "Settings", provider: str, source: str, invoice: Invoice, tolerance: Decimal
) -> list[Variance]:
    upstream = {model.name: model.upstream_model or model.name for model in settings.models}
    days = invoice.days
    async with the_ledger(settings.database_url) as database:
        booked = await read_booked(database, provider, days, lambda model: plain_model(upstream.get(model, model)))
        found = compare(invoice, booked, tolerance_usd=tolerance)
        await Reconciliations(database).keep(provider, source, days, invoice.rows, found)
    return found


def _tolerance(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or value < 0:
        raise BadInvoice(f"--tolerance: {text!r} is no amount of US dollars; 0.01 would be right")
    return value


def _show(invoice: Invoice, found: Sequence[Variance]) -> None:
    for one in found:
        sides = [
            f"{side} {_said(quantity, amount)}"
            for side, quantity, amount in (
                ("ledger", one.ledger_quantity, one.ledger_nanousd),
                ("invoice", one.invoice_quantity, one.invoice_nanousd),
            )
        ]
        typer.echo(f"{one.day} {one.model} {one.meter}: {one.cause} ({', '.join(sides)}): {one.note}")
    first, last = invoice.days
    said = f"{len(found)} differences" if found else "the two agree"
    typer.echo(f"{invoice.rows} rows, {first} to {last}: {said}")


def _said(quantity: int | None, nanousd: int | None) -> str:
    parts = [] if quantity is None else [f"{quantity}"]
    return " for ".join(parts + ([] if nanousd is None else [f"USD {usd(nanousd)}"])) or "nothing"
