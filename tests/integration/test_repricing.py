"""Pricing anew adds corrections that lead to what a fresh calculation gives; once, and without changing a row."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gateway.database import Database
from gateway.ledger.repricing import Repriced, reprice
from gateway.ledger.store import LedgerStore
from gateway.ledger.tables import corrections, entries, line_items, settlements
from gateway.ledger.verify import verify
from router.errors import BackendTimeout
from router.ids import new_id
from router.pricing import Price, PriceBook
from scorer.answer import Usage
from tests.crashing import Counter, counted, prepare
from tests.databases import ENGINES, fresh_url, rows_of
from tests.ledgers import a_ledger, an_attempt, run_request

TOLD = Usage(prompt_tokens=1000, completion_tokens=100, cached_prompt_tokens=400)
NEW = PriceBook(
    [
        Price(
            model="small", rates={"input": Decimal("0.3"), "cached_input": Decimal("0.03"), "output": Decimal("0.6")}
        ),
        Price(model="dear", rates={"input": Decimal(5), "output": Decimal(25)}),
    ]
)
SMALL, DEAR = 600 * 300 + 400 * 30 + 100 * 600, 1000 * 5000 + 100 * 25_000
DAY = timedelta(days=1)


@pytest.fixture(params=ENGINES)
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Database]:
    async with fresh_url(request.param, tmp_path) as url:
        await prepare(url)
        made = Database(url)
        yield made
        await made.dispose()


async def anew(database: Database, ledger_store: LedgerStore, since: datetime, *, dry_run: bool = False) -> Repriced:
    return await reprice(database, ledger_store, NEW, since, reason="a test", dry_run=dry_run)


async def test_pricing_anew(database: Database) -> None:
    async with a_ledger(database, reservations=Counter()) as ledger:
        for _ in range(3):
            await run_request(ledger, an_attempt(usage=TOLD))
        await run_request(ledger, an_attempt(model="dear", usage=TOLD))  # unknown so far
        await run_request(ledger, an_attempt(model="large", usage=TOLD))  # of which the new book knows nothing
        late = BackendTimeout("small", "late")
        await run_request(ledger, an_attempt(replied=False, state="failed", error=late))  # at its bound
        await ledger.flush()
        store = LedgerStore(database, new_id("wr"), Counter())
        await store.register(ledger._identity, 1)
        before = await rows_of(database, settlements), await rows_of(database, line_items)
        assert (await anew(database, store, datetime.now(UTC) + DAY)).looked_at == 0
        assert (await anew(database, store, datetime.now(UTC) - DAY, dry_run=True)).corrected == 4
        assert await rows_of(database, corrections) == []
        done = await anew(database, store, datetime.now(UTC) - DAY)
        assert (done.looked_at, done.corrected, done.unpriced, done.after_nanousd) == (5, 4, 1, 3 * SMALL + DEAR)
        again = await anew(database, store, datetime.now(UTC) - DAY)
        assert (again.looked_at, again.corrected) == (5, 0)
    cost = {row["attempt_id"]: row["amount_nanousd"] for row in before[0]}
    for fix in await rows_of(database, corrections):
        cost[fix["attempt_id"]] = (cost[fix["attempt_id"]] or 0) + fix["amount_nanousd"]
    assert sorted(cost.values()).count(SMALL) == 3
    assert DEAR in cost.values()
    assert await rows_of(database, settlements) == before[0]
    lines = await rows_of(database, line_items)
    assert [line for line in lines if line["seq"] == 0] == before[1]
    assert sum(line["amount_nanousd"] or 0 for line in lines) == sum(cost.values())
    meters = {(line["attempt_id"], line["meter"]) for line in lines}
    quantities = sum(line["quantity"] for line in lines if line["meter"] != "bound")
    assert quantities == 5 * 1100
    assert len(meters) >= 5
    owed = sum(
        row["amount_nanousd"] * (1 if row["credit"] == "provider" else -1) for row in await _of_provider(database)
    )
    assert owed == sum(cost.values())
    assert await counted(database) == (0, owed)
    assert (await verify(database)).is_sound


async def _of_provider(database: Database) -> list[dict[str, Any]]:
    return [row for row in await rows_of(database, entries) if "provider" in (row["debit"], row["credit"])]
