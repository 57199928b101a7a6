"""The ledger on both engines: its totals are the sums of recomputed costs, to the nano-dollar, for everybody's view."""

import asyncio
import re
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, text

from gateway.database import Database
from gateway.keys import KeyStore
from gateway.ledger.decisions import explain
from gateway.ledger.newest import read_newest
from gateway.ledger.reports import Heading, Reports, Span
from gateway.ledger.tables import attempts, corrections, line_items, settlements
from gateway.ledger.writer import LedgerWriter
from router.errors import BackendRefused, BackendTimeout
from router.outcome import Attempt
from router.pricing import Meter, Price, PriceBook
from scorer.answer import Usage
from tests.databases import ENGINES, fresh_database, rows_of
from tests.ledgers import BODY, PRICES, QUICK, a_ledger, a_record, an_attempt, an_opening, run_request

TOLD = Usage(prompt_tokens=1000, completion_tokens=100)
SMALL_COST, LARGE_COST = 210_000, 3_500_000


@pytest.fixture(params=ENGINES)
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Database]:
    async with fresh_database(request.param, tmp_path) as made:
        yield made


def recomputed(usage: Usage, price: Price | None) -> int:
    """The cost by the book, in fractions: each meter rounded half-even once."""
    if price is None:
        return 0
    cached = usage.cached_prompt_tokens if "cached_input" in price.rates else 0
    counted: dict[Meter, int] = {
        "input": usage.prompt_tokens - cached,
        "cached_input": cached,
        "output": usage.completion_tokens,
    }
    exact = [Fraction(price.rates[meter]) * 1000 * quantity for meter, quantity in counted.items() if quantity]
    return sum(map(round, exact))


usages = st.builds(
    lambda prompt, completion, cached: Usage(
        prompt_tokens=prompt, completion_tokens=completion, cached_prompt_tokens=min(cached, prompt)
    ),
    st.integers(0, 100_000),
    st.integers(0, 10_000),
    st.integers(0, 100_000),
)
cascades = st.lists(
    st.tuples(st.sampled_from(["odd", "small", "large", "dear"]), usages, st.sampled_from(["rejected", "accepted"])),
    min_size=1,
    max_size=3,
)
ODD = Price(model="odd", rates={"input": Decimal("0.0000015"), "output": Decimal("0.00000250000005")})
BOOK = PriceBook([*PRICES, ODD])


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(cascades, min_size=1, max_size=6))
def test_the_total_is_the_sum_of_recomputed_costs(tmp_path: Path, asked: list[list[tuple[str, Usage, Any]]]) -> None:
    async def law(engine: Any) -> None:
        async with fresh_database(engine, tmp_path) as database:
            async with a_ledger(database, prices=BOOK) as ledger:
                await asyncio.gather(
                    *(
                        run_request(ledger, *(an_attempt(model=m, usage=u, state=s) for m, u, s in cascade))
                        for cascade in asked
                    )
                )
            flat = [(model, usage) for cascade in asked for model, usage, _ in cascade]
            expected = sum(recomputed(usage, BOOK.price(model)) for model, usage in flat)
            unknown = sum(BOOK.price(model) is None for model, _ in flat)
            total = await Reports(database).total()
            assert (total.known_nanousd, total.unknown, total.attempts) == (expected, unknown, len(flat))
            for by in get_args(Heading):
                rows = await Reports(database).spend(by)
                assert sum(row.known_nanousd for row in rows) == expected
                assert sum(row.unknown for row in rows) == unknown
            lines = await rows_of(database, line_items)
            assert sum(line["amount_nanousd"] or 0 for line in lines) == expected
            for line in lines:
                exact = Fraction(line["rate_usd"] or 0) * 1000 * line["quantity"]
                assert (line["amount_nanousd"] or 0) == round(exact)

    asyncio.run(law("sqlite"))


async def test_every_ending_is_in_the_sums(database: Database) -> None:
    async with a_ledger(database) as ledger:
        await run_request(ledger, an_attempt(usage=TOLD, state="rejected"), an_attempt(model="large", usage=TOLD))
        await run_request(ledger, an_attempt(model="dear", usage=TOLD))
        late = BackendTimeout("small", "late")
        refused = BackendRefused("large", "no", status=400)
        await run_request(
            ledger,
            an_attempt(state="failed", replied=False, error=late),
            an_attempt(model="large", state="failed", replied=False, error=refused),
        )
        await run_request(ledger, an_attempt(state="cancelled", replied=False))
        record = a_record()
        await ledger.open_request(record)
        await ledger.log_for(record, BODY).open(an_opening(an_attempt()))
        await ledger.flush()
        total, rows = await Reports(database).total(), await Reports(database).spend("model")
    bound = next(row["reserved_nanousd"] for row in await rows_of(database, attempts) if row["model"] == "small")
    assert (total.requests, total.attempts, total.open) == (5, 7, 1)
    assert (total.accepted, total.rejected, total.failed, total.cancelled) == (2, 1, 2, 1)
    assert (total.unknown, total.estimated) == (1, 2)
    assert total.known_nanousd == SMALL_COST + LARGE_COST + 2 * bound
    assert (total.rejected_nanousd, total.estimated_nanousd, total.reserved_nanousd) == (SMALL_COST, 2 * bound, bound)
    by_name = {row.heading: row for row in rows}
    assert rows[0].heading == "large"
    assert by_name["dear"].nanousd is None
    assert by_name["large"].nanousd == LARGE_COST
    assert (total.prompt_tokens, total.completion_tokens) == (3000, 300)


async def test_spend_by_key_and_day_and_in_a_span(database: Database) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    info, _ = await KeyStore(database).create("app")
    async with a_ledger(database) as ledger:
        await run_request(ledger, an_attempt(usage=TOLD), record=a_record(key_id=info.key_id))
        await run_request(ledger, an_attempt(usage=TOLD), record=a_record(key_id=None, tenant_id="other"))
        await run_request(ledger, record=a_record(created=yesterday))
        cached = a_record()
        await ledger.open_request(cached)
        page = ledger.log_for(cached, BODY)
        closing = page.closing(
            status="cached", cache_status="HIT", answered_model="small", cached_usage=TOLD, saved_nanousd=SMALL_COST
        )
        ledger.close_request(closing)
    reports = Reports(database)
    by_key = {row.heading: row for row in await reports.spend("key")}
    assert {key: row.known_nanousd for key, row in by_key.items()} == {
        info.key_id: SMALL_COST,
        None: SMALL_COST,
        "key_1": 0,
    }
    days = await reports.spend("day")
    assert [row.heading for row in days] == [yesterday.date().isoformat(), datetime.now(UTC).date().isoformat()]
    assert [(row.requests, row.attempts, row.cache_hits) for row in days] == [(1, 0, 0), (3, 2, 1)]
    assert (await reports.total(Span(tenant_id="other"))).known_nanousd == SMALL_COST
    assert (await reports.total(Span(since=datetime.now(UTC) + timedelta(hours=1)))).requests == 0
    assert (await reports.total(Span(until=datetime.now(UTC) - timedelta(hours=1)))).requests == 1
    by_model = {row.heading: row for row in await reports.spend("model")}
    assert (by_model["small"].cache_hits, by_model["small"].saved_nanousd) == (1, SMALL_COST)


async def test_an_empty_ledger_has_spent_nothing(database: Database) -> None:
    assert (await Reports(database).total()).nanousd == 0
    assert await Reports(database).spend("key") == ()


async def test_a_decision_is_explained_to_its_tenant_alone(database: Database) -> None:
    async with a_ledger(database) as ledger:
        small = an_attempt(usage=TOLD, state="rejected", score=0.25, threshold=0.5)
        large = an_attempt(model="large", usage=TOLD, stage=1, score=None, threshold=None)
        record = await run_request(ledger, small, large)
        await ledger.flush()
    assert await explain(database, record.decision_id, tenant_id="someone else") is None
    assert await explain(database, "dec_none", tenant_id=None) is None
    report = await Reports(database).decision(record.decision_id, "acme")
    assert report is not None
    told = report.as_json()
    assert (told["status"], told["cost_usd"], told["answered_by"]) == (
        "answered",
        "0.00371",
        {"attempt": large.id, "model": "large"},
    )
    assert told["reference"] == {"model": "large", "cost_usd": "0.0035", "source": "observed", "saved_usd": "-0.00021"}
    assert [(a["tier"], a["state"], a["score"], a["threshold"], a["cost_usd"]) for a in told["attempts"]] == [
        (1, "rejected", 0.25, 0.5, "0.00021"),
        (2, "accepted", None, None, "0.0035"),
    ]
    assert [(line["meter"], line["rate_usd"]) for line in told["attempts"][1]["lines"]] == [
        ("input", "2.5"),
        ("output", "10"),
    ]
    assert told["tags"] == {"team": "search"}


async def test_a_decision_under_way_says_so(database: Database) -> None:
    async with a_ledger(database) as ledger:
        record = a_record()
        await ledger.open_request(record)
        await ledger.log_for(record, BODY).open(an_opening(an_attempt()))
        report = await explain(database, record.decision_id, tenant_id="acme")
    assert report is not None
    told = report.as_json()
    assert (told["status"], told["cost_usd"], told["attempts"][0]["state"]) == ("open", None, "open")


async def test_rates_come_back_digit_by_digit(database: Database) -> None:
    async with a_ledger(database, prices=BOOK) as ledger:
        await run_request(ledger, an_attempt(model="odd", usage=TOLD))
    rates = [line["rate_usd"] for line in await rows_of(database, line_items)]
    assert rates == [Decimal("0.0000015"), Decimal("0.00000250000005")]


async def test_processes_share_a_ledger(database: Database) -> None:
    ledgers = [LedgerWriter(database, PRICES, limits=QUICK) for _ in range(4)]
    other = Database(database._url.render_as_string(hide_password=False))
    ledgers += [LedgerWriter(other, PRICES, limits=QUICK) for _ in range(4)]
    await asyncio.gather(*(ledger.start() for ledger in ledgers))
    made: list[Attempt] = [an_attempt(usage=TOLD) for _ in range(200)]
    await asyncio.gather(*(run_request(ledgers[n % 8], attempt) for n, attempt in enumerate(made)))
    await asyncio.gather(*(ledger.stop() for ledger in ledgers))
    await other.dispose()
    assert {row["attempt_id"] for row in await rows_of(database, settlements)} == {attempt.id for attempt in made}
    assert (await Reports(database).total()).known_nanousd == 200 * SMALL_COST


async def test_the_overview_agrees(database: Database) -> None:
    async with a_ledger(database) as ledger:
        records = [await run_request(ledger, an_attempt(usage=TOLD)) for _ in range(3)]
    latest = await read_newest(database, Span(tenant_id="acme"), limit=2)
    assert [decision.decision_id for decision in latest] == [record.decision_id for record in reversed(records[1:])]
    assert {decision.spent_nanousd for decision in latest} == {SMALL_COST}


async def test_whoever_reads_for_long_keeps_no_process_from_starting(tmp_path: Path) -> None:
    async with fresh_database("postgresql", tmp_path) as database:
        async with database.read() as connection:
            await connection.execute(select(func.count()).select_from(corrections))  # its lock is held until the end
            async with a_ledger(database) as ledger:
                await run_request(ledger, an_attempt())
        made = [name for name in await partitions(database) if re.fullmatch(r"attempts_y\d{4}m\d\d", name)]
        assert len(made) == 4
        assert not [name for name in await partitions(database) if name.startswith("corrections_y")]


async def partitions(database: Database) -> list[str]:
    async with database.read() as connection:
        return list((await connection.execute(text("SELECT inhrelid::regclass::text FROM pg_inherits"))).scalars())
