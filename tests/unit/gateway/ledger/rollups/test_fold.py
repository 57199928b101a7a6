"""Rollups and what is read raw together say exactly what the raw rows say, whatever was added when."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from gateway.database import Database
from gateway.ledger.billing import Correction, Reservation
from gateway.ledger.group import Group
from gateway.ledger.liveness import Identity
from gateway.ledger.overview import Overview, Period
from gateway.ledger.reports import Reports, Span
from gateway.ledger.rollups.fold import Rollups
from gateway.ledger.rollups.reading import cover, coverage
from gateway.ledger.rollups.sources import HOUR_US
from gateway.ledger.rollups.tables import attempt_days, attempt_rollups, rollup_state
from gateway.ledger.savings import read_savings
from gateway.ledger.store import LedgerStore
from router.ids import new_id
from scorer.answer import Usage
from tests.benchmarks.traffic import START, load
from tests.databases import ENGINES, fresh_database
from tests.ledgers import a_ledger, a_record, an_attempt, an_opening, run_request

TOLD = Usage(prompt_tokens=1000, completion_tokens=50)
LATER = 27 * HOUR_US  # today is over then


@pytest.fixture(params=ENGINES)
async def either(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Database]:
    """A database of each kind."""
    async with fresh_database(request.param, tmp_path) as made:
        yield made


def now_us() -> int:
    return int(datetime.now(UTC).timestamp()) * 1_000_000


async def told(database: Database) -> list[object]:
    reports, odd = Reports(database), Span(since=datetime.now(UTC) - timedelta(minutes=90), tag=("team", "search"))
    rows: list[object] = [await reports.spend(by, odd) for by in ("model", "kind", "tag:team")]
    return [await reports.total(), *rows, (await read_savings(database, Span())).as_json()]


async def forgetting(database: Database) -> list[object]:
    """The same from raw rows alone."""
    async with database.write() as connection:
        await connection.execute(update(rollup_state).values(rolled_until_us=0))
    return await told(database)


async def correct(database: Database, attempt_id: str, decision_id: str, amount: int, seq: int) -> None:
    store = LedgerStore(database, new_id("wr"))
    await store.register(Identity.of_this_process(), now_us())
    reservation = Reservation(
        attempt_id=attempt_id, decision_id=decision_id, tenant_id="acme", model="small", opened_us=0,
        reserved_nanousd=None, price=None, price_version=None,
    )  # fmt: skip
    correction = Correction(
        reservation=reservation,
        seq=seq,
        event="correct",
        amount_nanousd=amount,
        lines=(),
        price_version=None,
        reason="r",
    )
    await store.write(Group(corrections=[(now_us(), correction)]), again=False)


async def test_what_comes_late_is_folded_in(either: Database) -> None:
    late, slow = an_attempt(usage=TOLD), a_record()
    async with a_ledger(either) as ledger:
        first, unknown = an_attempt(usage=TOLD, state="rejected"), an_attempt(model="dear", usage=TOLD)
        asked = await run_request(ledger, first, an_attempt(model="large", usage=TOLD))
        dear = await run_request(ledger, unknown)
        await ledger.open_request(slow)
        log = ledger.log_for(slow, {"messages": [], "max_tokens": 5})
        await log.open(an_opening(late))
        await ledger.flush()
        folded = await Rollups(either).fold(now_us() + LATER)
        assert folded.hours >= 1
        assert (await Reports(either).total()).open == 1
        log.close(late)
        ledger.close_request(log.closing(status="answered", cache_status="MISS", answered=late))
        await ledger.flush()
        total = await Reports(either).total()
        assert (total.open, total.unknown, total.attempts) == (0, 1, 4)  # read raw: the chain says what changed
    await correct(either, first.id, asked.decision_id, -30_000, 1)
    await correct(either, unknown.id, dear.decision_id, 5_000, 1)
    before = await told(either)
    assert (await Reports(either).total()).unknown == 0
    assert (await Reports(either).total()).corrected_nanousd == -25_000
    assert (await Rollups(either).fold(now_us() + LATER)).hours >= 1
    assert await told(either) == before
    assert (await Rollups(either).fold(now_us() + LATER)).hours == 0  # nothing has changed since
    assert [hour async for hour in Rollups(either).check()] == []
    assert await forgetting(either) == before


async def test_a_rebuild_mends_what_is_wrong_and_a_check_names_it(either: Database) -> None:
    async with a_ledger(either) as ledger:
        await run_request(ledger, an_attempt(usage=TOLD))
    await Rollups(either).fold(now_us() + LATER)
    before = await told(either)
    async with either.write() as connection:
        await connection.execute(update(attempt_rollups).values(spent_nanousd=1))
    assert len([hour async for hour in Rollups(either).check()]) == 2  # the hour, and its day
    await Rollups(either).fold(now_us() + LATER, rebuild=True)
    assert [hour async for hour in Rollups(either).check()] == []
    assert await told(either) == before


async def test_months_are_read_by_whole_days_and_hours_beside_them(either: Database) -> None:
    await load(either, 2500, days=3)
    start = int(START.timestamp()) * 1_000_000
    spans = [Span(), Span(since=START + timedelta(hours=5, minutes=7), until=START + timedelta(hours=66))]
    asked = [(by, span) for by in ("model", "tag:feature", "day") for span in spans]
    before = [await Reports(either).spend(by, span) for by, span in asked]
    month = Period.days(30, START + timedelta(days=3))
    page = (await Overview(either).costs(Span(tenant_id="org0"), month)).requests
    await Rollups(either).fold(start + 80 * HOUR_US)
    assert set((await Overview(either).costs(Span(tenant_id="org0"), month)).requests) == set(page)
    async with either.read() as connection:
        days = (await coverage(connection, *(start + n * HOUR_US for n in (5, 66)))).days
    assert days == (start + 24 * HOUR_US,)
    assert [await Reports(either).spend(by, span) for by, span in asked] == before
    async with either.write() as connection:
        await connection.execute(update(attempt_days).values(spent_nanousd=1))
    for (by, span), right in zip(asked, before, strict=True):
        assert await Reports(either).spend(by, span) != right  # it is really days that are read
    assert [day async for day in Rollups(either).check()] == [start + n * 24 * HOUR_US for n in range(3)]
    await Rollups(either).fold(start + 80 * HOUR_US, rebuild=True)
    assert [await Reports(either).spend(by, span) for by, span in asked] == before
    assert [day async for day in Rollups(either).check()] == []


async def test_one_works_at_a_time(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(update(rollup_state).values(busy_until_us=now_us() + 60_000_000))
    assert (await Rollups(database).fold()).busy


async def test_without_rollups_everything_is_read_raw(database: Database) -> None:
    async with database.read() as connection:
        covered = await coverage(connection, None, None)
    assert (covered.rolled, covered.raw) == (None, [(0, None)])


def test_a_stretch_is_cut_at_whole_hours() -> None:
    cut = cover(HOUR_US + 5, 9 * HOUR_US + 7, 6 * HOUR_US, [4 * HOUR_US, 0])
    assert cut.rolled == (2 * HOUR_US, 6 * HOUR_US)
    assert cut.raw == [(HOUR_US + 5, 2 * HOUR_US), (4 * HOUR_US, 5 * HOUR_US), (6 * HOUR_US, 9 * HOUR_US + 7)]
    assert cover(5, 7, HOUR_US, []).raw == [(5, 7)]
