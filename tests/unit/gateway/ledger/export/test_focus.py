"""FOCUS: every nano-dollar of the ledger once, costs apart, and nothing that the specification's checker minds."""

import csv
import io
import os
import subprocess
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gateway.database import Database
from gateway.ledger.export.focus import FOCUS_COLUMNS, Focus, ListRate, Names
from gateway.ledger.export.formats import CsvEncoder, encoded
from gateway.ledger.liveness import Identity
from gateway.ledger.reports import Reports, Span
from gateway.ledger.repricing import reprice
from gateway.ledger.store import LedgerStore
from router.errors import BackendTimeout
from router.ids import new_id
from router.pricing import Price, PriceBook
from scorer.answer import Usage
from tests.databases import ENGINES, Engine, fresh_database
from tests.ledgers import LARGE, SMALL, a_ledger, a_record, an_attempt, run_request

CHECKER = Path(os.environ.get("SPILLWAY_FOCUS_VALIDATOR", ".venv/focus/bin/focus-validator")).absolute()
TOLD = Usage(prompt_tokens=1001, cached_prompt_tokens=500, completion_tokens=51)
DEARER = PriceBook([Price(model="small", rates={"input": Decimal(1), "output": Decimal(2)}), LARGE])
CANNOT_BE_MET = {
    # the checker looks for columns under names that FOCUS 1.0 does not have: it says ...Name, and ResourceId
    *("InvoiceIssuer_Required", "Provider_Required", "Publisher_Required", "ResourceID_Required"),
    "SkuPriceId_Nullable",  # asks ChargeType, which FOCUS 1.0 calls ChargeCategory
}


def public(model: str, meter: str, _at: datetime) -> Decimal | None:
    return Decimal(20) if (model, meter) == ("large", "output") else None


async def rows_of(database: Database, rate: ListRate = public, **options: Any) -> list[dict[str, str]]:
    focus = Focus(rate, names=Names(organisations={"acme": "Acme Ltd"}), **options)
    parts = [part async for part in encoded(CsvEncoder(FOCUS_COLUMNS), focus.pages(database, Span()))]
    return list(csv.DictReader(io.StringIO(b"".join(parts).decode())))


async def fill(database: Database) -> None:
    """A cascade, a shadow, a failed call at its bound, an unknown price, two tenants, and corrections."""
    async with a_ledger(database) as ledger:
        for tags in ({"team": "search", "user": "1"}, {"team": "search", "user": "2"}):
            cascade = an_attempt(usage=TOLD, state="rejected"), an_attempt(model="large", usage=TOLD)
            await run_request(ledger, *cascade, record=a_record(tags=tags))
        await run_request(ledger, an_attempt(usage=TOLD), record=a_record(tenant_id="zeta", team_id="t1", tags={}))
        await run_request(ledger, an_attempt(model="dear", usage=TOLD))
        dead = an_attempt(model="large", state="failed", replied=False, error=BackendTimeout("large", "no answer"))
        await run_request(ledger, dead)
    store = LedgerStore(database, new_id("wr"))
    await store.register(Identity.of_this_process(), 0)
    await reprice(database, store, DEARER, datetime(2020, 1, 1, tzinfo=UTC), reason="dearer")


@pytest.mark.parametrize("engine", ENGINES)
async def test_every_nano_dollar_is_in_it_once_and_costs_stand_apart(engine: Engine, tmp_path: Path) -> None:
    async with fresh_database(engine, tmp_path) as database:
        await fill(database)
        rows = await rows_of(database)
        total = await Reports(database).total()
    assert sum(Decimal(row["BilledCost"]) for row in rows) * 10**9 == total.known_nanousd
    assert all(row["EffectiveCost"] == row["BilledCost"] for row in rows)
    usage = {(row["BillingAccountId"], row["ServiceName"], row["SkuId"]): row for row in rows if not row["ChargeClass"]}
    small = usage["acme", "small", "small/input"]
    assert (small["SkuPriceId"], small["ConsumedQuantity"], small["PricingQuantity"]) == (
        SMALL.version,
        "2002.0",
        "0.002002",
    )
    assert (small["ContractedUnitPrice"], small["ContractedCost"], small["ListCost"]) == (
        "0.15",
        "0.0003003",
        "0.0003003",
    )
    large = usage["acme", "large", "large/output"]
    assert (large["ListUnitPrice"], large["ListCost"]) == ("20.0", "0.00204")
    assert (large["ContractedUnitPrice"], large["ContractedCost"]) == ("10.0", "0.00102")
    assert (small["BillingAccountName"], small["Tags"], small["SubAccountId"]) == ("Acme Ltd", '{"team":"search"}', "")
    assert usage["zeta", "small", "small/output"]["SubAccountId"] == "t1"
    fixes = [row for row in rows if row["ChargeClass"] == "Correction"]
    assert fixes
    assert all(row["SkuPriceId"] == DEARER.price("small").version for row in fixes)  # type: ignore[union-attr] # it is there


async def test_a_tag_whose_values_are_wanted_apart_has_rows_of_its_own(database: Database) -> None:
    await fill(database)
    rows = await rows_of(database, split=["user"])
    apart = {row["Tags"] for row in rows if row["SkuId"] == "small/input" and row["BillingAccountId"] == "acme"}
    assert apart == {'{"team":"search","user":"1"}', '{"team":"search","user":"2"}'}


async def test_what_has_no_known_price_is_counted_and_left_out(database: Database) -> None:
    await fill(database)
    focus = Focus(public)
    assert not [row async for page in focus.pages(database, Span(model="dear")) for row in page]
    assert focus.unpriced.lines == 3


async def test_the_specifications_own_checker_accepts_it(database: Database, tmp_path: Path) -> None:
    if not CHECKER.exists():
        reason = f"there is no {CHECKER}; `make test` installs it"
        if os.environ.get("SPILLWAY_REQUIRE_SERVICES") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    await fill(database)
    path = tmp_path / "focus.csv"
    parts = [part async for part in encoded(CsvEncoder(FOCUS_COLUMNS), Focus(public).pages(database, Span()))]
    path.write_bytes(b"".join(parts))
    assert check(path) == CANNOT_BE_MET
    path.write_bytes(path.read_bytes().replace(b"AI and Machine Learning", b"Magic"))
    assert check(path) - CANNOT_BE_MET == {"ServiceCategory_Enum"}


def check(path: Path) -> set[str]:
    """The rules of FOCUS 1.0 that the file breaks."""
    command = [str(CHECKER), "--data-file", str(path), "--validate-version", "1.0"]
    (home,) = CHECKER.parent.parent.glob("lib/python*/site-packages")  # it looks for its currencies from there
    told = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False, timeout=120)
    failed = {line.removesuffix(" failed:") for line in told.stdout.splitlines() if line.endswith(" failed:")}
    assert failed or "Validation succeeded" in told.stdout, told.stdout + told.stderr
    return failed
