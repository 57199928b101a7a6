"""The overview equals a recomputation by hand, keeps tenants and periods apart, and asks the database little."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import event, text

from gateway.database import Database, DatabaseError
from gateway.ledger.newest import Seen, read_newest
from gateway.ledger.overview import Costs, Overview, Period, total
from gateway.ledger.reports import Span
from gateway.ledger.savings import read_savings
from tests.dashboard_seed import NOW, Call, Ledger, month, reference_for
from tests.databases import ENGINES, fresh_database

MONTH = Period.days(30, NOW)
MOST_STATEMENTS = 4  # of the first page's figures: what is rolled up, two for the period, one for the newest requests

SMALL = ("each_request", "costs", "rollup_state", "asked", "chosen")  # read by an index before, or of one row


async def costs_of(database: Database, tenant: str = "default", period: Period = MONTH) -> Costs:
    return await Overview(database).costs(Span(tenant_id=tenant), period)


async def newest(
    database: Database, tenant: str = "default", limit: int | None = None, before: str | None = None
) -> tuple[Seen, ...]:
    return await read_newest(database, Span(tenant_id=tenant), limit=limit, before=before)


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
    costs = await costs_of(either)
    groups, calls = costs.requests, costs.calls
    mine = {row["decision_id"] for row in ledger.rows["requests"] if row["tenant_id"] == "default"}
    attempts = {row["attempt_id"]: row for row in ledger.rows["attempts"] if row["decision_id"] in mine}
    settled = [row for row in ledger.rows["settlements"] if row["attempt_id"] in attempts]
    spent = sum(row["amount_nanousd"] or 0 for row in settled)

    whole = total(group.tally for group in groups)
    saved = await read_savings(either, Span(tenant_id="default", since=MONTH.since, until=MONTH.until))
    assert (costs.savings.saved_nanousd, costs.savings.unlike) == (saved.saved_nanousd, saved.unlike)
    assert costs.savings.interval_nanousd == pytest.approx(saved.interval_nanousd)
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
    groups = (await costs_of(either)).requests
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
    groups = (await costs_of(either)).requests
    assert sorted(group.slot for group in groups) == [MONTH.starts[0], MONTH.starts[-1]]
    assert total(group.tally for group in groups).requests == 2


async def test_a_tenant_sees_its_own(database: Database) -> None:
    ledger = Ledger()
    ledger.request(NOW, [Call(model="large")], tenant="a")
    theirs = ledger.request(NOW, [Call(model="large")], tenant="b")
    await ledger.write(database)
    costs = await costs_of(database, "a")
    assert (total(group.tally for group in costs.requests).requests, costs.calls[0].calls) == (1, 1)
    assert theirs not in [decision.decision_id for decision in await newest(database, "a")]
    nobody = await costs_of(database, "c")
    assert (nobody.requests, nobody.calls, await newest(database, "c")) == ((), (), ())


async def test_decisions_come_newest_first_page_by_page(either: Database) -> None:
    ledger = Ledger()
    ids = [ledger.request(NOW + timedelta(seconds=n), [Call(model="small")]) for n in range(7)]
    await ledger.write(either)
    seen, before = list[str](), None
    while page := await newest(either, limit=3, before=before):
        seen += [decision.decision_id for decision in page]
        before = seen[-1]
    assert seen == ids[::-1]


async def test_a_decision_tells_its_way(either: Database) -> None:
    ledger = Ledger()
    calls = [Call(model="small", state="rejected", score=0.3, threshold=0.6), Call(model="large")]
    ledger.request(NOW, calls, reference=reference_for(calls[1]))
    ledger.request(NOW, [Call(model="small"), Call(model="new", priced=False)])
    await ledger.write(either)
    unknown, told = await newest(either, limit=2)
    assert unknown.spent_nanousd is None
    assert told.spent_nanousd == sum(call.amount or 0 for call in calls)
    assert (told.created, told.answered_model, told.stop_reason) == (NOW, "large", "last_stage")
    way = [(call.model, call.state, call.score, call.threshold) for call in told.steps]
    assert way == [("small", "rejected", 0.3, 0.6), ("large", "accepted", None, None)]


async def test_the_page_takes_few_statements_whatever_the_traffic(database: Database) -> None:
    await month(200).write(database)
    with statements(database) as sent:
        await costs_of(database)
        await newest(database, limit=20)
    assert len(sent) == MOST_STATEMENTS


async def test_no_statement_reads_a_whole_table(database: Database) -> None:
    await month(300).write(database)
    async with database.write() as connection:
        await connection.execute(text("ANALYZE"))
    with statements(database) as sent:
        await costs_of(database, period=Period.days(1, NOW))
        await newest(database, limit=5, before="dec_ff")
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
        await newest(bare, limit=1)
    await bare.dispose()


def test_long_ago_is_a_period_too() -> None:
    assert Period.days(7, datetime(1971, 1, 10, tzinfo=UTC)).starts[0] == datetime(1971, 1, 4, tzinfo=UTC)


@pytest.mark.parametrize(
    ("span", "wanted"),
    [
        (Span(policy="support"), {0, 1}),
        (Span(team_id="search"), {1}),
        (Span(key_id="key_2"), {2}),
        (Span(model="large"), {1, 2}),
        (Span(tag=("app", "mail")), {2}),
        (Span(tag=("app", "chat")), set()),
        (Span(tenant_id="other"), set()),
        (Span(since=NOW, until=NOW + timedelta(minutes=1)), {0}),
    ],
)
async def test_filters_choose_the_same_everywhere(either: Database, span: Span, wanted: set[int]) -> None:
    ledger = Ledger()
    large = [Call(model="small", state="rejected", score=0.1, threshold=0.5), Call(model="large")]
    ids = [
        ledger.request(NOW, [Call(model="small")]),
        ledger.request(NOW - timedelta(minutes=1), large, team="search"),
        ledger.request(
            NOW - timedelta(minutes=2), [Call(model="large")], policy=None, key="key_2", tags='{"app": "mail"}'
        ),
    ]
    await ledger.write(either)
    seen = [one.decision_id for one in await read_newest(either, span)]
    assert seen == [ids[n] for n in sorted(wanted)]
    period = (
        MONTH
        if span.since is None or span.until is None
        else Period(since=span.since, until=span.until, slot=MONTH.slot)
    )
    if span.since is None:  # sums are told apart by hours
        costs = await Overview(either).costs(span, period)
        assert total(group.tally for group in costs.requests).requests == len(wanted)


async def test_tags_that_were_cut_are_none(database: Database) -> None:
    ledger = Ledger()
    ledger.request(NOW, [Call(model="small")], tags='{"app": "ma')
    ledger.request(NOW, [Call(model="small")], tags="[]")
    await ledger.write(database)
    assert await read_newest(database, Span(tag=("app", "mail"))) == ()


async def test_a_rare_filter_reads_no_more_than_the_newest(database: Database) -> None:
    ledger = Ledger()
    old = ledger.request(NOW - timedelta(days=1), [Call(model="small")], team="search")
    for n in range(5):
        ledger.request(NOW - timedelta(minutes=n), [Call(model="small")])
    await ledger.write(database)
    assert await read_newest(database, Span(team_id="search"), among=5) == ()
    assert [one.decision_id for one in await read_newest(database, Span(team_id="search"), among=6)] == [old]
