"""Orphans: attempts of dead processes are settled at an estimate, once; those of living ones are left alone."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import update

from gateway.database import Database
from gateway.ledger.liveness import Identity
from gateway.ledger.tables import attempts, closings, line_items, settlements, writers
from gateway.ledger.writer import LedgerWriter
from router.ids import new_id
from router.outcome import Attempt
from scorer.answer import Usage
from tests.databases import rows_of
from tests.ledgers import BODY, PRICES, QUICK, a_ledger, a_record, an_attempt, an_opening, run_request

TOLD = Usage(prompt_tokens=1000, completion_tokens=100)


def dead() -> Identity:
    """A process beside this one that does not run."""
    return replace(Identity.of_this_process(), process="1/0")


async def leave_open(ledger: LedgerWriter, attempt: Attempt) -> None:
    """A request whose process dies between the call and its end."""
    record = a_record()
    await ledger.open_request(record)
    await ledger.log_for(record, BODY).open(an_opening(attempt))


async def crash(ledger: LedgerWriter) -> None:
    """End a writer as a killed process would: without a word."""
    for task in ledger._tasks:
        task.cancel()
    await asyncio.gather(*ledger._tasks, return_exceptions=True)
    ledger._running = False


async def a_crashed_ledger(database: Database, *opened: Attempt, identity: Identity) -> LedgerWriter:
    ledger = LedgerWriter(database, PRICES, limits=QUICK, identity=identity)
    await ledger.start()
    await run_request(ledger, an_attempt(usage=TOLD))
    await ledger.flush()
    for attempt in opened:
        await leave_open(ledger, attempt)
    await crash(ledger)
    return ledger


async def test_an_orphan_is_settled_at_its_bound_and_marked(database: Database) -> None:
    known, unknown = an_attempt(), an_attempt(model="dear")
    await a_crashed_ledger(database, known, unknown, identity=dead())
    async with a_ledger(database) as ledger:
        assert (ledger.counts.orphans, ledger.counts.unknown_prices) == (2, 1)
    reserved = {row["attempt_id"]: row["reserved_nanousd"] for row in await rows_of(database, attempts)}
    found = {row["attempt_id"]: row for row in await rows_of(database, settlements)}
    assert found.keys() == reserved.keys()
    for attempt in (known, unknown):
        row = found[attempt.id]
        assert (row["state"], row["error_kind"], row["usage_source"]) == ("failed", "orphaned", "estimated")
        assert row["amount_nanousd"] == reserved[attempt.id]
    assert found[unknown.id]["amount_nanousd"] is None
    (line,) = [line for line in await rows_of(database, line_items) if line["attempt_id"] == known.id]
    assert (line["meter"], line["amount_nanousd"]) == ("bound", reserved[known.id])
    assert sorted(row["status"] for row in await rows_of(database, closings)) == ["answered", "lost", "lost"]


async def test_it_happens_once(database: Database) -> None:
    await a_crashed_ledger(database, an_attempt(), identity=dead())
    async with a_ledger(database):
        pass
    before = await rows_of(database, settlements), await rows_of(database, line_items)
    async with a_ledger(database) as ledger:
        assert ledger.counts.orphans == 0
    assert (await rows_of(database, settlements), await rows_of(database, line_items)) == before


async def test_a_living_process_is_left_alone(database: Database) -> None:
    async with a_ledger(database) as first:
        attempt = an_attempt(usage=TOLD)
        record = a_record()
        await first.open_request(record)
        log = first.log_for(record, BODY)
        await log.open(an_opening(attempt))
        async with a_ledger(database) as second:
            assert second.counts.orphans == 0
        log.close(attempt)
    (row,) = await rows_of(database, settlements)
    assert (row["state"], row["usage_source"]) == ("accepted", "provider")


@pytest.mark.parametrize(("silent_for_s", "orphans"), [(50, 0), (61, 1)])
async def test_elsewhere_silence_counts_as_death_after_the_lease(
    database: Database, silent_for_s: int, orphans: int
) -> None:
    elsewhere = Identity(place="elsewhere", process="1/1")
    await a_crashed_ledger(database, an_attempt(), identity=elsewhere)
    async with database.write() as connection:
        await connection.execute(update(writers).values(seen_us=writers.c.seen_us - silent_for_s * 1_000_000))
    async with a_ledger(database) as ledger:
        assert ledger.counts.orphans == orphans


async def test_what_a_stop_left_behind_is_settled_by_the_next_start(database: Database) -> None:
    async with a_ledger(database) as ledger:
        await leave_open(ledger, an_attempt())
    async with a_ledger(database) as ledger:
        assert ledger.counts.orphans == 1


async def test_a_settlement_that_comes_after_the_sweep_doubles_nothing(database: Database) -> None:
    attempt = an_attempt(usage=TOLD)
    first = LedgerWriter(database, PRICES, limits=QUICK, identity=dead())  # taken for dead, and yet alive
    await first.start()
    record = a_record()
    await first.open_request(record)
    log = first.log_for(record, BODY)
    await log.open(an_opening(attempt))
    async with a_ledger(database) as second:
        assert second.counts.orphans == 1
        log.close(attempt)
        await first.flush()
    await first.stop()
    (row,) = await rows_of(database, settlements)
    assert row["error_kind"] == "orphaned"
    assert sum(line["amount_nanousd"] for line in await rows_of(database, line_items)) == row["amount_nanousd"]


async def test_two_who_sweep_at_once_settle_each_orphan_once(database: Database) -> None:
    opened = [an_attempt(id=new_id("att")) for _ in range(30)]
    await a_crashed_ledger(database, *opened, identity=dead())
    ledgers = [LedgerWriter(database, PRICES, limits=QUICK) for _ in range(3)]
    await asyncio.gather(*(ledger.start() for ledger in ledgers))
    await asyncio.gather(*(ledger.stop() for ledger in ledgers))
    assert len(await rows_of(database, settlements)) == 31
    assert len(await rows_of(database, line_items)) == 30 + 2


async def test_a_process_that_goes_on_after_a_sweep_is_swept_again(database: Database) -> None:
    first = LedgerWriter(database, PRICES, limits=QUICK, identity=dead())
    await first.start()
    async with a_ledger(database):
        pass
    await leave_open(first, an_attempt())
    await first._store.renew(1)
    await crash(first)
    async with a_ledger(database) as ledger:
        assert ledger.counts.orphans == 1
