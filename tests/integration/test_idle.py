"""The GPUs' bill is what calls were charged and what was idle, to the nano-dollar, whatever comes late."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from gateway.database import Database, DatabaseError
from gateway.ledger.billing import Correction
from gateway.ledger.group import Group
from gateway.ledger.idle import IdleBooks
from gateway.ledger.liveness import Identity
from gateway.ledger.store import LedgerStore
from gateway.ledger.tables import attempts, entries
from gateway.ledger.tariff import Tariff
from gateway.ledger.verify import verify
from gateway.ledger.writer import LedgerWriter
from router.ids import new_id
from scorer.answer import Usage
from tests.databases import ENGINES, fresh_database, rows_of
from tests.integration.test_migrations import settled
from tests.ledgers import PRICES, QUICK, an_attempt, run_request

HOUR_US = 3_600_000_000
BILL = 2_345_678_901  # nano-USD an hour


@pytest.fixture(params=ENGINES)
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Database]:
    async with fresh_database(request.param, tmp_path) as made:
        yield made


async def balances(database: Database) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in await rows_of(database, entries):
        found[row["debit"]] = found.get(row["debit"], 0) + row["amount_nanousd"]
        found[row["credit"]] = found.get(row["credit"], 0) - row["amount_nanousd"]
    return found


async def test_charges_and_idle_are_the_bill(database: Database) -> None:
    tariff = Tariff(prices=PRICES, output_limits={"small": 4096}, providers={"small": "pool"})
    books, another = (IdleBooks(database, lambda: {"pool": BILL}) for _ in range(2))
    ledger = LedgerWriter(database, tariff, limits=QUICK)
    await ledger.start()
    await run_request(ledger, an_attempt(usage=Usage(prompt_tokens=1000, completion_tokens=50)))
    await run_request(ledger, an_attempt(usage=Usage(prompt_tokens=1000, completion_tokens=50)))
    await ledger.stop()
    (row, _) = await rows_of(database, attempts)
    begun = row["opened_us"] // HOUR_US * HOUR_US
    books._begun_us = another._begun_us = begun  # this hour as a whole
    assert await books.book(begun + HOUR_US) == 0  # settlements may still be on their way
    assert await books.book(begun + 3 * HOUR_US + HOUR_US // 2) == 3
    assert await another.book(begun + 3 * HOUR_US + HOUR_US // 2) == 0  # booked by the other process
    found = await balances(database)
    charged = 2 * (1000 * 150 + 50 * 600)
    assert (found["provider"], found["gpu_idle"], found["tenant"]) == (-3 * BILL, 3 * BILL - charged, charged)
    store = LedgerStore(database, new_id("wr"))
    await store.register(Identity.of_this_process(), 1)
    correction = Correction(
        reservation=await settled(database),
        seq=1,
        event="correct",
        amount_nanousd=5 * BILL,  # more than an hour costs
        lines=(),
        price_version=None,
        reason="late",
    )
    await store.write(Group(corrections=[(begun + 1, correction)]), again=False)
    assert await books.book(begun + 3 * HOUR_US + HOUR_US // 2) == 1
    found = await balances(database)
    assert (found["provider"], found["gpu_idle"]) == (-3 * BILL, -2 * BILL - charged)
    assert sum(found.values()) == 0
    assert (await verify(database)).is_sound


async def test_two_processes_book_an_hour_once(database: Database) -> None:
    one, two = (IdleBooks(database, lambda: {"pool": BILL}) for _ in range(2))
    now_us = one._begun_us + 2 * HOUR_US
    async with database.read() as connection:
        late = await two._due(connection, "pool", BILL, now_us)  # it has looked, and is slower
    assert await one.book(now_us) == 1
    await two._store.register(Identity.of_this_process(), 1)
    with pytest.raises(DatabaseError):
        await two._store.write(Group(postings=late), again=False)
    assert (await balances(database))["gpu_idle"] == BILL
