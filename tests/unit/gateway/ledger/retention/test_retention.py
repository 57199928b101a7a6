"""Details go, then money; what reports say stays, and whoever touches what is left is found out."""

from collections.abc import AsyncGenerator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update

from gateway.database import Database, DatabaseError
from gateway.errors import InvalidRequest
from gateway.ledger import faults
from gateway.ledger.billing import Correction, Reservation
from gateway.ledger.entry import RequestClosing, RequestRecord
from gateway.ledger.export.files import content_of
from gateway.ledger.faults import RETENTION_POINTS
from gateway.ledger.group import Group
from gateway.ledger.liveness import Identity
from gateway.ledger.orphans import RESERVATION
from gateway.ledger.overview import Overview, Period
from gateway.ledger.reconcile.store import Reconciliations
from gateway.ledger.reports import Reports, Span
from gateway.ledger.retention.retention import Ages, Retained, Retention
from gateway.ledger.reviews import reviews
from gateway.ledger.rollups.fold import Rollups
from gateway.ledger.rollups.tables import attempt_rollups
from gateway.ledger.savings import read_savings
from gateway.ledger.store import LedgerStore
from gateway.ledger.tables import (
    BY_MONTH,
    attempts,
    checkpoints,
    closings,
    entries,
    kept_days,
    links,
    requests,
    retention_state,
    settlements,
)
from gateway.ledger.verify import verify
from router.ids import new_id
from tests.benchmarks.traffic import load
from tests.databases import ENGINES, fresh_database, rows_of
from tests.ledgers import a_record

START = datetime(2026, 10, 31, 14, tzinfo=UTC)
DAYS = 1
NOW = datetime(2027, 1, 20, tzinfo=UTC)
AGES = Ages(details=70, money=75)
NOW_US = int(NOW.timestamp()) * 1_000_000


@pytest.fixture(params=ENGINES)
async def either(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Database]:
    """A database of each kind, with traffic of two months in it."""
    async with fresh_database(request.param, tmp_path) as made:
        await load(made, 100, days=DAYS, start=START)
        yield made


async def retained(database: Database, ages: Ages = AGES, **changes: Any) -> Retained:
    return await Retention(database).work(ages, NOW_US, **changes)


async def told(database: Database, *, odd: bool = True) -> list[object]:
    """What people ask for, over spans of every kind.   odd : of parts of hours too."""
    reports, saved = Reports(database), []
    spans = [
        Span(),
        Span(since=START + timedelta(hours=7), until=START + timedelta(hours=15)),
        Span(since=START + timedelta(hours=10), tenant_id="org0"),
        *([Span(since=datetime(2026, 11, 1, 3, 17, tzinfo=UTC), model="large")] if odd else []),
    ]
    rows: list[object] = []
    for by in ("model", "day", "hour", "org", "key", "kind", "provider", "tag:feature"):
        rows += [await reports.spend(by, span) for span in spans]
    rows += [await reports.total(span) for span in spans]
    rows += [await reports.total(Span(tag=("feature", "chat")))]
    for span in spans[:3]:
        said = (await read_savings(database, span)).as_json()
        saved += [said["saved_nanousd"], said["by_source"], said["not_compared"]]
    page = (
        await Overview(database).costs(Span(tenant_id="org0"), Period.days(30, START + timedelta(days=DAYS)))
    ).requests
    return [*rows, *saved, {group.slot: 0 for group in page}, sorted(str(group) for group in page)]


async def test_details_go_first_and_money_by_whole_months(either: Database) -> None:
    before = await told(either)
    async with either.write() as connection:
        said = {"reviewer": "operator", "tenant_id": "org0", "label": 1.0, "note": "well said", "reviewed_us": 1}
        listed = [row["decision_id"] for row in await rows_of(either, requests)]
        await connection.execute(insert(reviews), said | {"decision_id": listed[0]})
    planned = await retained(either, dry_run=True)
    done = await retained(either)
    assert done.money_before == planned.money_before == 202611
    assert done.details_until_us == planned.details_until_us == NOW_US - 70 * 86_400_000_000
    assert done.details > 60
    assert await told(either) == before
    verdict = await verify(either)
    assert verdict.is_sound, verdict.findings[:3]
    assert verdict.dropped_links > 0
    for table in BY_MONTH[:-1]:
        assert {row["month"] for row in await rows_of(either, table)} <= {202611}
    tags = {row["tags"] for row in await rows_of(either, requests)}
    assert [(row["label"], row["note"]) for row in await rows_of(either, reviews)] == [(1.0, "")]
    assert tags == {"{}"}  # the rest of what is there is older than 70 days too
    assert [hour async for hour in Rollups(either).check()] == []
    assert await told(either) == before
    assert await retained(either) == Retained()  # nothing new has had its time
    (one,) = [row for row in await rows_of(either, checkpoints) if row["writer_number"] == 1]
    assert one["attempts"] == sum(row.attempts for row in await Reports(either).spend("day", Span(until=_NOVEMBER)))
    rebuilt = await Rollups(either).fold(NOW_US, rebuild=True)
    assert rebuilt.complete
    assert await told(either) == before


_NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)


async def test_a_second_month_goes_later_and_takes_the_first_checkpoints_place(either: Database) -> None:
    before = await told(either, odd=False)
    await retained(either)
    done = await Retention(either).work(AGES, NOW_US + 40 * 86_400_000_000)
    assert done.money_before == 202612
    assert {row["before_month"] for row in await rows_of(either, checkpoints)} == {202612}
    assert await rows_of(either, attempts) == []
    assert await told(either, odd=False) == before
    verdict = await verify(either)
    assert verdict.is_sound, verdict.findings[:3]


class Killed(BaseException):
    """As far as the database can tell."""


async def test_killed_at_every_point_it_is_continued(either: Database) -> None:
    before = await told(either)
    for point in RETENTION_POINTS:

        def hook(reached: str, point: str = point) -> None:
            if reached == point:
                raise Killed

        faults.hooks.append(hook)
        try:
            with pytest.raises(Killed):
                await retained(either)
        finally:
            faults.hooks.remove(hook)
        assert (await retained(either)).busy  # until its lease is over
        async with either.write() as connection:
            await connection.execute(update(retention_state).values(busy_until_us=0))
        assert await told(either) == before, point
        verdict = await verify(either)
        assert verdict.is_sound, (point, verdict.findings[:3])
        if point == "details-noted":  # at every point of it, from here on
            assert await rows_of(either, checkpoints) == []
    assert await retained(either) == Retained()
    assert {row["month"] for row in await rows_of(either, attempts)} == {202611}


async def test_nothing_is_added_to_what_was_dropped_and_details_that_come_late_go_too(either: Database) -> None:
    ids = {row["month"]: row for row in await rows_of(either, attempts)}
    await retained(either)
    store = LedgerStore(either, new_id("wr"))
    await store.register(Identity.of_this_process(), 1)
    with pytest.raises(DatabaseError, match="months before 202611 were dropped"):
        await store.write(Group(corrections=[(1, _fix(ids[202610]))]), again=False)
    await store.write(Group(corrections=[(1, _fix(ids[202611]))]), again=False)
    late = a_record(decision_id=f"dec_{1793600000000:012x}7000800000000000000a", tags={"who": "alice"})
    await store.write(Group(requests=[late], closings=[(1, closed(late))]), again=False)
    assert any("alice" in row["tags"] for row in await rows_of(either, requests))
    assert (await retained(either)).details == 1
    assert not any("alice" in row["tags"] for row in await rows_of(either, requests))
    assert (await verify(either)).is_sound


def closed(record: RequestRecord) -> RequestClosing:
    return RequestClosing(decision_id=record.decision_id, status="failed", cache_status="MISS")


def _fix(row: Mapping[str, Any]) -> Correction:
    reservation = Reservation(**{column.name: row[column.name] for column in RESERVATION}, price=None)
    return Correction(
        reservation=reservation, seq=1, event="correct", amount_nanousd=5, lines=(), price_version=None, reason="r"
    )


TOUCHED = (
    (checkpoints, "through"),
    (checkpoints, "hash"),
    (checkpoints, "spent_nanousd"),
    (kept_days, "digest"),
    (attempt_rollups, "spent_nanousd"),
    (settlements, "amount_nanousd"),
    (entries, "amount_nanousd"),
    (requests, "tags"),
    (closings, "closed_us"),
    (links, "hash"),
    (links, "manifest"),
)


async def test_whatever_is_changed_afterwards_is_found(either: Database) -> None:
    await retained(either)
    for table, column in TOUCHED:
        row = (await rows_of(either, table))[0]
        this = [key == row[key.name] for key in table.primary_key]
        value = row[column]
        other = value + 1 if isinstance(value, int) else value[:-1] + (b"?" if isinstance(value, bytes) else "?")
        for written, sound in ((other, False), (value, True)):
            async with either.write() as connection:
                await connection.execute(update(table).where(*this).values({column: written}))
            assert (await verify(either)).is_sound == sound, (table.name, column)


async def test_a_row_put_back_and_a_checkpoint_taken_away_are_found(either: Database) -> None:
    old = (await rows_of(either, entries))[0]
    await retained(either)
    async with either.write() as connection:
        await connection.execute(insert(entries), {**old, "seq": 7})
    assert [finding.what for finding in (await verify(either)).findings] == ["added"]
    async with either.write() as connection:
        await connection.execute(entries.delete().where(entries.c.seq == 7))
        await connection.execute(checkpoints.delete().where(checkpoints.c.writer_number == 1))
    found = {(finding.what, finding.table) for finding in (await verify(either)).findings}
    assert {("missing", "checkpoints"), ("link missing", "links")} <= found


async def test_what_was_changed_before_keeps_its_details_and_its_month(either: Database) -> None:
    row = (await rows_of(either, requests))[0]
    async with either.write() as connection:
        await connection.execute(
            update(requests).where(requests.c.decision_id == row["decision_id"]).values(requested_model="cheap")
        )
    await retained(either, Ages(details=70))
    (left,) = [one for one in await rows_of(either, requests) if one["scrubbed"] is None]
    assert (left["decision_id"], left["tags"]) == (row["decision_id"], row["tags"])
    assert [finding.what for finding in (await verify(either)).findings] == ["changed"]
    async with either.write() as connection:
        first = (await connection.execute(select(func.min(links.c.link)))).scalar_one()
        await connection.execute(update(links).where(links.c.link == first).values(previous=bytes(32 * [1])))
    with pytest.raises(DatabaseError, match="writer 1's chain is broken at link 1"):
        await retained(either)
    assert len(await rows_of(either, requests)) > 60


async def test_a_month_in_which_something_is_open_stays(either: Database) -> None:
    async with either.write() as connection:
        some = (
            (await connection.execute(select(closings.c.decision_id).order_by(closings.c.decision_id)))
            .scalars()
            .first()
        )
        await connection.execute(closings.delete().where(closings.c.decision_id == some))
    done = await retained(either)
    assert (done.money_before, [str(held) for held in done.held]) == (
        None, ["2026-10 stays: a request in it has no end"],
    )  # fmt: skip
    assert done.details > 0


async def test_a_month_stays_until_its_bills_agree(either: Database) -> None:
    kept = Reconciliations(either)
    first = START.date()
    await kept.keep("openai", "bill.csv", (first - timedelta(days=9), first - timedelta(days=1)), 4, [])
    assert [str(held) for held in (await retained(either)).held] == [
        "2026-10 stays: openai's bill of 2026-10-31 was not held against it"
    ]
    await kept.keep("openai", "bill.csv", (first, first), 12, [])
    assert (await retained(either)).money_before == 202611


async def test_parts_of_hours_and_single_rows_of_dropped_months_are_refused_by_name(either: Database) -> None:
    await retained(either)
    with pytest.raises(InvalidRequest, match="since: before 2026-11-01 01:00 UTC only whole hours are known"):
        await Reports(either).total(Span(since=START + timedelta(minutes=5)))
    with pytest.raises(InvalidRequest, match="since: single requests from before 2026-11-01 00:00 UTC were dropped"):
        await anext(content_of("attempts").pages(either, Span()))
    assert [page async for page in content_of("hours").pages(either, Span())]
    assert [page async for page in content_of("requests").pages(either, Span(since=_NOVEMBER))]
