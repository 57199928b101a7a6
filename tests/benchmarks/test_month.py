"""A month of traffic: how fast it is written, how large it is, and how long a person waits for its sums.

``SPILLWAY_MONTH_ATTEMPTS=5000000 make evidence ARGS="-k month_of_traffic"`` takes up to an hour and 15 GB each
(``SPILLWAY_MONTH_FOLDER`` says where; the PostgreSQL server is SPILLWAY_TEST_POSTGRES_URL's). With a folder
``SPILLWAY_MONTH_KEEP`` the databases stay, and the next run with it and as many attempts measures the queries alone.
"""

import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select, text

from gateway.dashboard.charts import forget_drawings
from gateway.database import Database
from gateway.ledger.newest import read_newest
from gateway.ledger.overview import Overview, Period
from gateway.ledger.reports import Reports, Span
from gateway.ledger.rollups.fold import Rollups
from gateway.ledger.rollups.sources import HOUR_US
from gateway.ledger.rollups.tables import attempt_days, attempt_rollups, request_rollups
from gateway.ledger.savings import read_savings
from gateway.ledger.tables import entries, requests, settlements
from scorer.answer import Usage
from tests.benchmarks.traffic import DAYS, START, load
from tests.dashboard_visit import PAGES, TOKEN, visitor
from tests.databases import ENGINES, Engine, fresh_database, kept_url
from tests.ledgers import a_ledger, an_attempt, run_request

ATTEMPTS = int(os.environ.get("SPILLWAY_MONTH_ATTEMPTS", "300000"))
NOW = START + timedelta(days=DAYS)


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_small_month_rolled_up_equals_its_raw_rows(engine: str, tmp_path: Path) -> None:
    async with fresh_database(engine, tmp_path) as database:  # type: ignore[arg-type] # one of the two
        await load(database, 1500, days=1)
        before = await _answers(database)
        assert (await Rollups(database).fold(_us(START) + 10 * HOUR_US)).hours == 9
        assert await _answers(database) == before
        assert (await Rollups(database).fold(_us(NOW), rebuild=True)).complete
        assert await _answers(database) == before
        await _is_exact(database)


@pytest.mark.evidence
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("engine", ENGINES)
async def test_a_month_of_traffic(engine: Engine, tmp_path: Path) -> None:
    async with _the_month(engine, tmp_path) as (database, built):
        await Rollups(database).fold(_us(NOW) if built else None)
        slow = []
        for name, waits in (await _waits(database)).items():
            p95 = sorted(waits)[int(len(waits) * 0.95) - 1]
            _say(engine, f"{name}: p95 {p95 * 1000:.0f} ms of {len(waits)}")
            slow += [name] if p95 >= 1.0 else []
        if built:
            await _rebuild(engine, database)
        assert not slow


async def _rebuild(engine: Engine, database: Database) -> None:
    await Rollups(database).fold(_us(NOW) + 2 * HOUR_US)
    await _is_exact(database)
    began = time.monotonic()
    rebuilt = await Rollups(database).fold(_us(NOW) + 2 * HOUR_US, rebuild=True)
    await _is_exact(database)
    _say(engine, f"{rebuilt.hours} hours rebuilt and equal to the raw rows in {time.monotonic() - began:.1f} s")
    _say(engine, f"through the writer, on top of it: {await _sustained(database):.0f} attempts/s sustained")


@asynccontextmanager
async def _the_month(engine: Engine, tmp_path: Path) -> AsyncGenerator[tuple[Database, bool]]:
    """A month that is loaded and rolled up, and whether that was done just now."""
    keep = os.environ.get("SPILLWAY_MONTH_KEEP")
    if keep is None:
        folder = Path(os.environ.get("SPILLWAY_MONTH_FOLDER", str(tmp_path)))
        async with fresh_database(engine, folder) as database:
            await _build(engine, database)
            yield database, True
        return
    name = f"spillway_month_{ATTEMPTS}"
    done = Path(keep) / f"{name}.{engine}.done"
    database = Database(await kept_url(engine, Path(keep), name, anew=not done.exists()))
    try:
        await database.migrate()
        built = not done.exists()
        if built:
            await _build(engine, database)
            done.touch()
        yield database, built
    finally:
        await database.dispose()


async def _build(engine: Engine, database: Database) -> None:
    began = time.monotonic()
    made = await load(database, ATTEMPTS)
    _say(engine, f"{made} attempts of 30 days loaded in bulk: {made / (time.monotonic() - began):.0f} attempts/s")
    _say(engine, f"on disk: {await _size(database) / 1e9:.2f} GB for {made} attempts")
    began = time.monotonic()
    folded = await Rollups(database).fold(_us(NOW))
    _say(engine, f"{folded.hours} hours rolled up in {time.monotonic() - began:.1f} s")


async def _waits(database: Database) -> dict[str, list[float]]:
    reports, overview = Reports(database), Overview(database)
    whole = Span(since=START, until=NOW)
    odd = Span(since=START + timedelta(minutes=17), until=NOW - timedelta(minutes=23), tenant_id="org0")
    asked: dict[str, Callable[[], Awaitable[object]]] = {
        "dashboard, 30 days": lambda: overview.costs(Span(tenant_id="org0"), Period.days(30, NOW)),
        "dashboard, 1 day": lambda: overview.costs(Span(tenant_id="org0"), Period.days(1, NOW)),
        "dashboard, newest": lambda: read_newest(database, Span(tenant_id="org0", since=START, until=NOW)),
        "savings": lambda: read_savings(database, whole),
        "spend in total": lambda: reports.total(whole),
        "spend of one org between odd minutes": lambda: reports.spend("model", odd),
        "spend of one tag": lambda: reports.spend("model", Span(since=START, until=NOW, tag=("feature", "chat"))),
    }
    for by in ("model", "day", "hour", "provider", "org", "team", "key", "policy", "kind", "tag:feature"):
        asked[f"spend by {by}"] = lambda by=by: reports.spend(by, whole)  # type: ignore[misc] # bound at once
    waits: dict[str, list[float]] = {}
    async with visitor(database, now=NOW) as client:
        await client.post("/dashboard/login", data={"key": TOKEN})
        for page in PAGES:
            for who in ("", "?org=org0"):  # the operator sees everything
                asked[f"page /dashboard{page}{who}"] = lambda page=page, who=who: _first_view(client, page + who)  # type: ignore[misc] # bound at once
        for name, ask in asked.items():
            for _ in range(20):
                began = time.monotonic()
                await ask()
                waits.setdefault(name, []).append(time.monotonic() - began)
    return waits


async def _first_view(client: httpx.AsyncClient, page: str) -> None:
    """No picture of it was drawn before."""
    forget_drawings()
    assert (await client.get(f"/dashboard{page}")).status_code == 200


async def _answers(database: Database) -> list[object]:
    reports = Reports(database)
    odd = Span(since=START + timedelta(hours=3, minutes=7), until=START + timedelta(hours=15, minutes=11))
    headings = ("model", "day", "key", "tag:team")
    told: list[object] = [await reports.spend(by, span) for by in headings for span in (Span(), odd)]
    saved = (await read_savings(database, odd)).as_json()
    return [*told, saved["saved_nanousd"], saved["by_source"], saved["not_compared"]]


async def _is_exact(database: Database) -> None:
    """Rollups equal the raw sums to the nano-dollar, and the books balance."""
    rolled, asked = attempt_rollups.c, request_rollups.c
    async with database.read() as connection:
        raw = select(func.count(), func.sum(settlements.c.amount_nanousd), func.sum(settlements.c.prompt_tokens))
        sums = select(func.sum(rolled.attempts), func.sum(rolled.spent_nanousd), func.sum(rolled.prompt_tokens))
        assert _plain((await connection.execute(raw)).one()) == _plain(
            (await connection.execute(sums.where(rolled.tag_name == ""))).one()
        )
        counted = (await connection.execute(select(func.count()).select_from(requests))).scalar()
        counts = select(func.sum(asked.requests)).where(asked.tag_name == "")
        assert counted == int((await connection.execute(counts)).scalar_one())
        days = attempt_days.c
        whole = select(func.sum(days.attempts), func.sum(days.spent_nanousd), func.sum(days.prompt_tokens))
        assert _plain((await connection.execute(raw)).one()) == _plain(
            (await connection.execute(whole.where(days.tag_name == ""))).one()
        )
        charged = select(func.sum(entries.c.amount_nanousd)).where(entries.c.event == "charge")
        spent = select(func.sum(settlements.c.amount_nanousd))
        assert (await connection.execute(charged)).scalar() == (await connection.execute(spent)).scalar()
    if ATTEMPTS <= 300_000:
        assert [hour async for hour in Rollups(database).check()] == []


async def _sustained(database: Database) -> float:
    """Attempts a second through the writer, each opened before and settled after, for ten seconds by 64 at a time."""
    import asyncio

    told, count, until = Usage(prompt_tokens=1000, completion_tokens=50), 0, time.monotonic() + 10
    async with a_ledger(database) as ledger:

        async def client() -> int:
            done = 0
            while time.monotonic() < until:
                await run_request(ledger, an_attempt(usage=told))
                done += 1
            return done

        began = time.monotonic()
        count = sum(await asyncio.gather(*(client() for _ in range(64))))
        await ledger.flush()
        return count / (time.monotonic() - began)


async def _size(database: Database) -> int:
    query = "SELECT pg_database_size(current_database())"
    if database.is_sqlite:
        query = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
    async with database.read() as connection:
        return int((await connection.execute(text(query))).scalar_one())


def _plain(row: object) -> list[int]:
    return [int(value or 0) for value in row]  # type: ignore[attr-defined] # a row of three sums


def _us(moment: datetime) -> int:
    return int(moment.astimezone(UTC).timestamp()) * 1_000_000


def _say(engine: str, words: str) -> None:
    print(f"{engine}: {words}", flush=True)
