"""Files of the ledger equal the ledger: row by row and summed, on both engines, read back by another program."""

import csv
import io
import os
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from gateway.database import Database
from gateway.errors import InvalidRequest
from gateway.ledger.export.export_command import app
from gateway.ledger.export.files import CONTENTS, Grain, content_of, write_file
from gateway.ledger.export.formats import CannotExport, encoded, encoder_of
from gateway.ledger.liveness import Identity
from gateway.ledger.reports import Reports, Span
from gateway.ledger.repricing import reprice
from gateway.ledger.rollups.fold import Rollups
from gateway.ledger.rollups.sources import HOUR_US
from gateway.ledger.store import LedgerStore
from gateway.ledger.tables import attempts, line_items, requests
from router.ids import new_id
from router.pricing import Price, PriceBook
from tests.benchmarks.traffic import START, load
from tests.databases import ENGINES, Engine, fresh_database
from tests.ledgers import a_ledger, a_record, an_attempt, run_request
from tests.unit.gateway.ledger.test_cli import TOLD, configured

DEARER = PriceBook([Price(model="small", rates={"input": Decimal(1), "output": Decimal(2)})])


@pytest.fixture(params=ENGINES)
async def month(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Database]:
    """More than a page of attempts of one day, partly corrected and rolled up, and some of today of all kinds."""
    engine: Engine = request.param
    async with fresh_database(engine, tmp_path) as database:
        await load(database, 1300, days=1)
        await Rollups(database).fold(int(START.timestamp() * 1_000_000) + 12 * HOUR_US)
        store = LedgerStore(database, new_id("wr"))
        await store.register(Identity.of_this_process(), 0)
        await reprice(database, store, DEARER, START + timedelta(hours=20), reason="dearer")
        async with a_ledger(database) as ledger:
            await run_request(ledger, an_attempt(usage=TOLD, state="rejected"), an_attempt(model="large", usage=TOLD))
            await run_request(ledger, an_attempt(model="dear", usage=TOLD), record=a_record(key_id=None))
        yield database


async def exported(database: Database, grain: Grain, span: Span, folder: Path) -> Any:
    """A table of DuckDB's over the Parquet file."""
    content = content_of(grain)
    path = folder / f"{grain}.parquet"
    await write_file(path, encoded(encoder_of("parquet", content.columns), content.pages(database, span)))
    return duckdb.connect().read_parquet(str(path))


def one(relation: Any, what: str) -> tuple[Any, ...]:
    (row,) = relation.aggregate(what).fetchall()
    return tuple(row)


async def test_parquet_read_back_by_duckdb_equals_sql(month: Database, tmp_path: Path) -> None:
    total = await Reports(month).total(Span())
    for grain, calls in (("attempts", "count(*)"), ("requests", "sum(attempts)"), ("hours", "sum(attempts)")):
        found = await exported(month, grain, Span(), tmp_path)  # type: ignore[arg-type] # of Grain's
        known = {"attempts": "cost_nanousd", "requests": "known_nanousd", "hours": "spent_nanousd"}[grain]
        assert one(found, f"{calls}, sum({known})") == (total.attempts, total.known_nanousd), grain
    hours = await exported(month, "hours", Span(), tmp_path)
    assert one(hours, "sum(spent_usd)*1000000000, sum(unpriced+unmeasured)") == (total.known_nanousd, total.unknown)
    by_model = await exported(month, "attempts", Span(), tmp_path)
    rows = by_model.aggregate("model, sum(cost_nanousd), sum(cost_usd), sum(prompt_tokens)").fetchall()
    told = {row.heading: row for row in await Reports(month).spend("model")}
    assert {row[0] for row in rows} == set(told)
    for model, nanousd, usd, tokens in rows:
        assert (nanousd, tokens) == (told[model].nanousd, told[model].prompt_tokens)
        assert usd == (None if nanousd is None else Decimal(nanousd).scaleb(-9))


async def test_every_line_is_in_the_file_as_it_stands_in_the_ledger(month: Database, tmp_path: Path) -> None:
    found = await exported(month, "line-items", Span(), tmp_path)
    rows = found.project("attempt_id, meter, seq, quantity, rate_usd, price_version, amount_nanousd").fetchall()
    names = ("attempt_id", "meter", "seq", "quantity", "rate_usd", "price_version", "amount_nanousd")
    async with month.read() as connection:
        kept = (await connection.execute(select(*(line_items.c[name] for name in names)))).all()
    assert sorted(rows) == sorted(tuple(row) for row in kept)
    assert any(row[2] > 0 for row in rows)


async def test_every_request_and_attempt_is_there_once_in_order_of_time(month: Database, tmp_path: Path) -> None:
    for grain, table, key, moment in (
        ("requests", requests, "decision_id", "created"),
        ("attempts", attempts, "attempt_id", "opened"),
    ):
        found = await exported(month, grain, Span(), tmp_path)  # type: ignore[arg-type] # of Grain's
        rows = found.project(f"{moment}, {key}").fetchall()
        assert rows == sorted(rows)
        async with month.read() as connection:
            kept = (await connection.execute(select(table.c[key]))).scalars().all()
        assert sorted(row[1] for row in rows) == sorted(kept)


async def test_a_stretch_of_time_and_an_owner_narrow_every_grain(month: Database, tmp_path: Path) -> None:
    since = START + timedelta(hours=3, minutes=7)
    for tag in (None, ("feature", "chat")):
        span = Span(since=since, until=since + timedelta(hours=11), tenant_id="org1", tag=tag)
        total = await Reports(month).total(span)
        assert total.attempts
        for grain, calls in (("attempts", "count(*)"), ("requests", "sum(attempts)"), ("hours", "sum(attempts)")):
            found = await exported(month, grain, span, tmp_path)  # type: ignore[arg-type] # of Grain's
            if grain != "requests":  # whose attempts may have been opened after the end
                assert one(found, calls) == (total.attempts,), grain
            else:
                assert one(found, "count(*)") == (total.requests,)
        lines = await exported(month, "line-items", span, tmp_path)
        assert one(lines, "sum(amount_nanousd)") == (total.known_nanousd,)


async def test_what_nobody_asked_for_makes_an_empty_file_with_its_columns(month: Database, tmp_path: Path) -> None:
    for grain, content in CONTENTS.items():
        found = await exported(month, grain, Span(tenant_id="nobody"), tmp_path)
        assert found.columns == [column.name for column in content.columns]
        assert one(found, "count(*)") == (0,)


async def test_requests_are_not_told_apart_by_model(database: Database) -> None:
    with pytest.raises(InvalidRequest, match="may call several"):
        content_of("requests").pages(database, Span(model="small"))


async def test_a_file_that_could_not_be_finished_replaces_nothing(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("before")

    async def parts() -> AsyncGenerator[bytes]:
        yield b"half"
        raise CannotExport("the disk is full")

    with pytest.raises(CannotExport):
        await write_file(path, parts())
    assert (path.read_text(), os.listdir(tmp_path)) == ("before", ["out.csv"])  # noqa: PTH208 - a short list
    with pytest.raises(CannotExport, match="cannot be written"):
        await write_file(tmp_path / "nowhere" / "out.csv", parts())


@pytest.fixture
async def config(database: Database, tmp_path: Path) -> str:
    async with a_ledger(database) as ledger:
        await run_request(ledger, an_attempt(usage=TOLD))
    return configured(tmp_path, database._url.render_as_string(hide_password=False))


def test_the_command_writes_csv_to_standard_output_and_parquet_by_name(config: str, tmp_path: Path) -> None:
    out = tmp_path / "attempts.parquet"
    said = CliRunner().invoke(app, ["attempts", "--config", config], catch_exceptions=False)
    assert said.exit_code == 0
    (row,) = csv.DictReader(io.StringIO(said.output))
    assert (row["model"], row["cost_nanousd"], row["cost_usd"]) == ("small", "180000", "0.00018")
    assert datetime.fromisoformat(row["opened"]).tzinfo == UTC
    CliRunner().invoke(app, ["attempts", "--config", config, "-o", str(out)], catch_exceptions=False)
    assert one(duckdb.connect().read_parquet(str(out)), "sum(cost_nanousd)") == (180000,)
    with pytest.raises(InvalidRequest, match="'colours' cannot be exported"):
        CliRunner().invoke(app, ["colours", "--config", config], catch_exceptions=False)
