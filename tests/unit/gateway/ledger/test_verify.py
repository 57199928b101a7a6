"""Whoever changes, removes or adds a row is found out, by its name."""

import pytest
from sqlalchemy import delete, insert, select, update

from gateway.database import Database
from gateway.ledger.tables import attempts, closings, entries, line_items, links, settlements
from gateway.ledger.verify import CHAINED, verify
from router.ids import new_id
from scorer.answer import Usage
from tests.databases import rows_of
from tests.ledgers import a_ledger, an_attempt, run_request

TOLD = Usage(prompt_tokens=1000, completion_tokens=100)


@pytest.fixture
async def filled(database: Database) -> Database:
    for _ in range(2):
        async with a_ledger(database) as ledger:
            for _ in range(3):
                await run_request(
                    ledger, an_attempt(usage=TOLD, state="rejected"), an_attempt(model="dear", usage=TOLD)
                )
                await ledger.flush()
    return database


async def said(database: Database) -> list[tuple[str, str]]:
    return [(finding.what, finding.table) for finding in (await verify(database)).findings]


async def test_what_nobody_touched_is_as_written(filled: Database) -> None:
    verdict = await verify(filled)
    assert verdict.is_sound
    assert verdict.unchained == 0
    assert verdict.rows == sum([len(await rows_of(filled, table)) for table in CHAINED])
    assert set(verdict.heads) == {1, 2}


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        (settlements, "amount_nanousd", 1),
        (line_items, "quantity", 1),
        (entries, "amount_nanousd", 1),
        (attempts, "model", "cheap"),
        (closings, "status", "failed"),
    ],
)
async def test_a_changed_row_is_named(filled: Database, table, column, value) -> None:  # type: ignore[no-untyped-def]  # tables and plain values
    key = next(iter(table.primary_key))
    rows = await rows_of(filled, table)
    async with filled.write() as connection:
        changed = update(table).where(key == rows[0][key.name]).values({column: value})
        hit = (await connection.execute(changed)).rowcount
    verdict = await verify(filled)
    assert [(one.what, one.table) for one in verdict.findings] == [("changed", table.name)] * hit
    assert rows[0][key.name] in verdict.findings[0].key


async def test_a_removed_row_is_named(filled: Database) -> None:
    row = (await rows_of(filled, line_items))[0]
    async with filled.write() as connection:
        await connection.execute(
            delete(line_items).where(line_items.c.attempt_id == row["attempt_id"], line_items.c.meter == row["meter"])
        )
    (finding,) = (await verify(filled)).findings
    assert (finding.what, finding.table) == ("missing", "line_items")
    assert row["attempt_id"] in finding.key


async def test_an_added_row_is_named(filled: Database) -> None:
    row = {**(await rows_of(filled, attempts))[0], "attempt_id": new_id("att")}
    async with filled.write() as connection:
        await connection.execute(insert(attempts), row)
    (finding,) = (await verify(filled)).findings
    assert (finding.what, finding.key) == ("added", row["attempt_id"])


async def test_a_removed_link_and_a_forged_manifest_are_found(filled: Database) -> None:
    rows = await rows_of(filled, links)
    async with filled.write() as connection:
        await connection.execute(delete(links).where(links.c.link == rows[1]["link"]))
    assert ("link missing", "links") in await said(filled)
    async with filled.write() as connection:
        await connection.execute(insert(links), rows[1])
        await connection.execute(
            update(links).where(links.c.link == rows[1]["link"]).values(manifest=rows[2]["manifest"])
        )
    assert ("link changed", "links") in await said(filled)


async def test_a_tail_that_was_cut_off_is_found_against_heads_kept_elsewhere(filled: Database) -> None:
    heads = (await verify(filled)).heads
    async with filled.write() as connection:
        newest = (await connection.execute(select(links.c.link).order_by(links.c.link.desc()).limit(1))).scalar_one()
        for table in reversed(CHAINED):
            await connection.execute(delete(table).where(table.c.link == newest))
        await connection.execute(delete(links).where(links.c.link == newest))
    assert (await verify(filled)).is_sound
    assert [one.what for one in (await verify(filled, heads=heads)).findings] == ["link missing"]


async def test_a_beginning_that_was_cut_off_is_found(filled: Database) -> None:
    oldest = (await rows_of(filled, links))[0]["link"]
    async with filled.write() as connection:
        await connection.execute(delete(links).where(links.c.link == oldest))
    assert ("link missing", "links") in await said(filled)
