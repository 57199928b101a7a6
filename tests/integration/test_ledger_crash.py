"""A process killed between a call and its settlement: the next one finds the call and settles it, once."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from gateway.database import Database
from gateway.ledger.reports import Reports
from gateway.ledger.tables import attempts, settlements
from tests.databases import ENGINES, Engine, fresh_url, rows_of
from tests.ledgers import a_ledger

OPENS_AND_WAITS = """
import asyncio, sys
from gateway.database import Database
from scorer.answer import Usage
from tests.ledgers import BODY, a_ledger, a_record, an_attempt, an_opening, run_request

async def main(url):
    database = Database(url)
    await database.migrate()
    async with a_ledger(database) as ledger:
        for _ in range(3):
            await run_request(ledger, an_attempt(usage=Usage(prompt_tokens=1000, completion_tokens=100)))
        await ledger.flush()
        for model in ("small", "large", "dear"):
            record = a_record()
            await ledger.open_request(record)
            await ledger.log_for(record, BODY).open(an_opening(an_attempt(model=model)))
        print("called", flush=True)
        await asyncio.Event().wait()

asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_killed_process_loses_nothing(engine: Engine, tmp_path: Path) -> None:
    async with fresh_url(engine, tmp_path) as url:
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", OPENS_AND_WAITS, url, stdout=PIPE)
        assert process.stdout is not None
        assert await process.stdout.readline() == b"called\n"
        process.kill()
        await process.communicate()
        database = Database(url)
        async with a_ledger(database) as ledger:  # at once, without waiting for any lease
            assert (ledger.counts.orphans, ledger.counts.unknown_prices) == (3, 1)
        async with a_ledger(database) as ledger:
            assert ledger.counts.orphans == 0
        opened = await rows_of(database, attempts)
        assert len(opened) == len(await rows_of(database, settlements)) == 6
        total = await Reports(database).total()
        bounds = sum(row["reserved_nanousd"] for row in opened[3:5])
        assert (total.open, total.failed, total.unknown, total.estimated) == (0, 3, 1, 3)
        assert total.known_nanousd == 3 * 210_000 + bounds
        await database.dispose()
