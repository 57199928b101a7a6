"""The overview equals a recomputation by hand, keeps tenants and periods apart, and asks the database little."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import event, text

from gateway.database import Database, DatabaseError
from gateway.ledger.overview import Overview, Period, Step, total
from tests.dashboard_seed import NOW, Call, Ledger, month, reference_for
from tests.databases import ENGINES, fresh_database

MONTH = Period.days(30, NOW)
MOST_STATEMENTS = 5  # of the page of costs: what is rolled up, two for the period, two for the decisions

SMALL = ("each_request", "costs", "rollup_state")  # what was read by an index before, and a table of one row


@pytest.fixture(params=ENGINES)
async def either(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Database]:
    """A database of each kind: the two group, divide and add alike."""
    async with fresh_database(request.param, tmp_path) as made:
        yield made


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """What is sent to the database within the block, transactions left out."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if not statement.startswith(("BEGIN", "ROLLBACK", "PRAGMA")):
            sent.append(statement)

    engine = database._reader.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)


async def test_sums_equal_those_of_the_rows(either: Database) -> None:
    ledger = month(300)
    await ledger.write(either)
    groups, calls = await Overview(either).costs("default", MONTH)
    mine = {row["decision_id"] for row in ledger.rows["requests"] if row["tenant_id"] == "default"}
    attempts = {row["attempt_id"]: row for row in ledger.rows["attempts"] if row["decision_id"] in mine}
    settled = [row for row in ledger.rows["settlements"] if row["attempt_id"] in attempts]
    spent = sum(row["amount_nanousd"] or 0 for row in settled)

    whole = total(group.tally for group in groups)
    assert whole.requests == len(mine)
    assert whole.spent_nanousd == spent == sum(call.spent_nanousd for call in calls)
    assert sum(call.calls for call in calls) == len(attempts)
    assert sum(call.unpriced for call in calls) == sum(row["amount_nanousd"] is None for row in settled) > 0
    assert sum(call.prompt_tokens for call in calls) == sum(row["prompt_tokens"] or 0 for row in settled)
    known = {
        row["decision_id"]: row["reference_nanousd"] for row in ledger.rows["closings"] if row["decision_id"] in mine
    }
    assert whole.reference_nanousd == sum(amount or 0 for amount in known.values())
    assert whole.compared == sum(amount is not None for amount in known.values())
    for model in ("small", "middling", "large"):
        of_model = sum(
            row["amount_nanousd"] or 0 for row in settled if attempts[row["attempt_id"]]["model"] == model
        )  # fmt: skip
        assert sum(call.spent_nanousd for call in calls if call.model == model) == of_model


async def test_a_request_of_unknown_cost_or_reference_is_not_compared(either: Database) -> None:
    ledger = Ledger()
    known = Call(model="large")
    ledger.request(NOW, [Call(model="small", state="rejected"), known], reference=reference_for(known))
    ledger.request(NOW, [Call(model="new", priced=False)], reference=(5, "modelled"))
    ledger.request(NOW, [Call(model="small", state=None)], status=None)
    ledger.request(NOW, [known], status="failed")
    ledger.request(NOW, [], status="cached", cache="HIT", reference=(7, "modelled"))
    await ledger.write(either)
    groups, _ = await Overview(either).costs("default", MONTH)
    whole = total(group.tally for group in groups)
    small, large = Call(model="small").amount or 0, known.amount or 0
    assert (whole.requests, whole.compared) == (5, 2)
    assert whole.spent_nanousd == small + 2 * large
    assert whole.compared_nanousd == small + large
    assert whole.reference_nanousd == large + 7
    assert whole.saved_nanousd == 7 - small


async def test_slots_are_half_open_and_hold_what_happened_in_them(either: Database) -> None:
    ledger = Ledger()
    for when in (
        MONTH.since - timedelta(milliseconds=1),
        MONTH.since,
        MONTH.until - timedelta(milliseconds=1),
        MONTH.until,
    ):
        ledger.request(when, [Call(model="small")])
    await ledger.write(either)
    groups, _ = await Overview(either).costs("default", MONTH)
    assert sorted(group.slot for group in groups) == [MONTH.starts[0], MONTH.starts[-1]]
    assert total(group.tally for group in groups).requests == 2


async def test_a_tenant_sees_its_own(database: Database) -> None:
    ledger = Ledger()
    ledger.request(NOW, [Call(model="large")], tenant="a")
    theirs = ledger.request(NOW, [Call(model="large")], tenant="b")
    await ledger.write(database)
    overview = Overview(database)
    groups, calls = await overview.costs("a", MONTH)
    assert (total(group.tally for group in groups).requests, calls[0].calls) == (1, 1)
    assert theirs not in [decision.decision_id for decision in await overview.latest("a", limit=10)]
    assert await overview.costs("c", MONTH) == ((), ())
    assert await overview.latest("c", limit=10) == ()


async def test_decisions_come_newest_first_page_by_page(either: Database) -> None:
    ledger = Ledger()
    ids = [ledger.request(NOW + timedelta(seconds=n), [Call(model="small")]) for n in range(7)]
    await ledger.write(either)
    overview, seen, before = Overview(either), list[str](), None
    while page := await overview.latest("default", limit=3, before=before):
        seen += [decision.decision_id for decision in page]
        before = seen[-1]
    assert seen == ids[::-1]


async def test_a_decision_tells_its_way(either: Database) -> None:
    ledger = Ledger()
    calls = [Call(model="small", state="rejected", score=0.3, threshold=0.6), Call(model="large")]
    ledger.request(NOW, calls, reference=reference_for(calls[1]))
    ledger.request(NOW, [Call(model="small"), Call(model="new", priced=False)])
    await ledger.write(either)
    unknown, told = await Overview(either).latest("default", limit=2)
    assert unknown.spent_nanousd is None
    assert told.spent_nanousd == sum(call.amount or 0 for call in calls)
    assert (told.created, told.answered_model, told.stop_reason) == (NOW, "large", "last_stage")
    assert told.steps == (
        Step(model="small", state="rejected", score=0.3, threshold=0.6),
        Step(model="large", state="accepted", score=None, threshold=None),
    )


async def test_the_page_takes_few_statements_whatever_the_traffic(database: Database) -> None:
    overview = Overview(database)
    await month(200).write(database)
    with statements(database) as sent:
        await overview.costs("default", MONTH)
        await overview.latest("default", limit=20)
    assert len(sent) == MOST_STATEMENTS


async def test_no_statement_reads_a_whole_table(database: Database) -> None:
    overview = Overview(database)
    await month(300).write(database)
    async with database.write() as connection:
        await connection.execute(text("ANALYZE"))
    with statements(database) as sent:
        await overview.costs("default", Period.days(1, NOW))
        await overview.latest("default", limit=5, before="dec_ff")
    async with database.read() as connection:
        for statement in sent:
            numbered = statement
            bound = {}
            for n in range(statement.count("?")):
                numbered = numbered.replace("?", f":p{n}", 1)
                bound[f"p{n}"] = "dec_0"
            plan = (await connection.execute(text(f"EXPLAIN QUERY PLAN {numbered}"), bound)).all()
            scans = [row.detail for row in plan if row.detail.startswith("SCAN") and not row.detail.endswith(SMALL)]
            assert scans == [], statement


async def test_without_a_schema_the_error_has_a_name(tmp_path: Path) -> None:
    bare = Database(f"sqlite+aiosqlite:///{tmp_path}/bare.db")
    with pytest.raises(DatabaseError):
        await Overview(bare).latest("default", limit=1)
    await bare.dispose()


def test_long_ago_is_a_period_too() -> None:
    assert Period.days(7, datetime(1971, 1, 10, tzinfo=UTC)).starts[0] == datetime(1971, 1, 4, tzinfo=UTC)
