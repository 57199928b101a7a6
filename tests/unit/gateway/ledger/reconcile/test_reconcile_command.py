"""`spillway reconcile` against a real ledger: its own calls agree, a wrong file does not, and what differs is kept."""

import json
from collections.abc import AsyncGenerator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.database import Database
from gateway.ledger.reconcile.booked import read_booked
from gateway.ledger.reconcile.compare import Variance
from gateway.ledger.reconcile.reconcile_command import app
from gateway.ledger.reconcile.store import Reconciliations
from gateway.ledger.tariff import Tariff
from gateway.ledger.writer import LedgerWriter
from scorer.answer import Usage
from tests.databases import ENGINES, Engine, fresh_database
from tests.ledgers import PRICES, QUICK, an_attempt, run_request
from tests.unit.gateway.ledger.test_cli import configured

TOLD = Usage(prompt_tokens=1000, cached_prompt_tokens=400, completion_tokens=50, reasoning_tokens=20)
HEADER = "start_time_iso,model,input_tokens,input_cached_tokens,output_tokens\n"


async def fill(database: Database) -> None:
    writer = LedgerWriter(
        database, Tariff(prices=PRICES, providers={"large": "openai", "small": "other"}), limits=QUICK
    )
    await writer.start()
    await run_request(writer, an_attempt(usage=TOLD, state="rejected"), an_attempt(model="large", usage=TOLD))
    await writer.stop()


@pytest.fixture(params=ENGINES)
async def either(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Database]:
    engine: Engine = request.param
    async with fresh_database(engine, tmp_path) as made:
        await fill(made)
        yield made


async def test_one_providers_calls_are_read_by_hour_model_and_meter(either: Database) -> None:
    today = datetime.now(UTC).date()
    booked = await read_booked(either, "openai", (today, today), lambda model: f"its-{model}")
    assert {(item.model, item.meter, item.quantity, item.nanousd) for item in booked} == {
        ("its-large", "input", 600, 1_500_000),
        ("its-large", "cached_input", 400, 500_000),
        ("its-large", "output", 50, 500_000),
    }


@pytest.fixture
async def ledger(database: Database, tmp_path: Path) -> str:
    await fill(database)
    return configured(tmp_path, database._url.render_as_string(hide_password=False))


def ran(config: str, file: Path, *more: str) -> tuple[int, str]:
    arguments = ["--provider", "openai", "--invoice", str(file), "--config", config, *more]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    return result.exit_code, result.output


def test_a_file_that_agrees_ends_well_and_one_that_does_not_says_where(ledger: str, tmp_path: Path) -> None:
    path, now = tmp_path / "usage.csv", datetime.now(UTC)
    path.write_text(HEADER + f"{now.isoformat()},large,1000,400,50\n")
    assert ran(ledger, path) == (0, f"1 rows, {now.date()} to {now.date()}: the two agree\n")
    path.write_text(HEADER + f"{now.isoformat()},large,1000,400,70\n")
    code, said = ran(ledger, path)
    assert code == 1
    assert f"{now.date()} large output: quantity differs (ledger 50 for USD 0.0005, invoice 70): +20 charged" in said
    code, said = ran(ledger, path, "--json")
    (found,) = json.loads(said)
    assert (found["cause"], found["ledger_quantity"], found["invoice_quantity"]) == ("quantity differs", 50, 70)


async def test_what_differs_is_kept_until_a_later_file_agrees(database: Database) -> None:
    kept, day = Reconciliations(database), date(2026, 11, 3)
    variance = Variance(
        day=day, model="m", meter="output", cause="rate differs", note="n", ledger_quantity=1, invoice_quantity=1,
        ledger_nanousd=None, invoice_nanousd=5,
    )  # fmt: skip
    await kept.keep("openai", "a.csv", (date(2026, 11, 1), date(2026, 11, 5)), 10, [variance])
    await kept.keep("anthropic", "b.csv", (day, day), 10, [])
    (found,) = await kept.unreconciled()
    assert (found.provider, found.variance) == ("openai", variance)
    assert await kept.unreconciled("anthropic") == ()
    await kept.keep("openai", "c.csv", (day, day), 10, [])
    assert await kept.unreconciled() == ()
