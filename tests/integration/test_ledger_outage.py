"""The database goes away under load: with a spool nothing is lost and nobody waits long."""

import asyncio
import random
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from gateway.database import Database, DatabaseUnavailable
from gateway.ledger.entry import LedgerUnavailable
from gateway.ledger.limits import WriterLimits
from gateway.ledger.refuge import SpoolPlace
from gateway.ledger.tables import attempts
from gateway.ledger.writer import LedgerWriter
from scorer.answer import Usage
from tests.crashing import Counter, prepare
from tests.databases import fresh_url, rows_of
from tests.integration.test_ledger_crashes import SPOOLED, add_up, calls_in, crash
from tests.ledgers import BODY, PRICES, a_record, an_attempt, an_opening
from tests.outage import Line, a_line

LIMITS = WriterLimits(linger_s=0.01, heartbeat_s=0.2, answer_s=0.5, drain_s=10.0)


@dataclass
class Load:
    """What clients saw: how long each opening took, and how many were refused."""

    account: Path
    waits: list[float] = field(default_factory=list)
    refused: int = 0
    running: bool = True

    async def client(self, ledger: LedgerWriter, pause_s: float) -> None:
        pick = random.Random(len(self.waits))
        while self.running:
            record = a_record()
            attempt = an_attempt(usage=Usage(prompt_tokens=pick.randint(1, 100), completion_tokens=10))
            began = time.monotonic()
            try:
                await ledger.open_request(record)
                log = ledger.log_for(record, BODY)
                await log.open(an_opening(attempt))
            except LedgerUnavailable:
                self.refused += 1
                await asyncio.sleep(0.05)
                continue
            self.waits.append(time.monotonic() - began)
            with self.account.open("a") as account:
                account.write(f"{attempt.id}\n")
            await asyncio.sleep(pause_s)
            log.close(attempt)
            ledger.close_request(log.closing(status="answered", cache_status="MISS", answered=attempt))


@asynccontextmanager
async def under_load(
    tmp_path: Path, *, spool: SpoolPlace | None, clients: int = 8, pause_s: float = 0.01
) -> AsyncGenerator[tuple[Line, Load, LedgerWriter, str]]:
    async with fresh_url("postgresql", tmp_path) as url, a_line(url) as (line, over):
        await prepare(url)
        database = Database(over)
        ledger = LedgerWriter(database, PRICES, reservations=Counter(), limits=LIMITS, spool=spool)
        await ledger.start()
        load = Load(account=tmp_path / "account")
        tasks = [asyncio.create_task(load.client(ledger, pause_s)) for _ in range(clients)]
        yield line, load, ledger, url
        load.running = False
        await asyncio.gather(*tasks)
        await ledger.stop()
        await database.dispose()
        await add_up(url, load.account)


async def more(load: Load, count: int) -> None:
    """Until so many further openings were granted."""
    goal = len(load.waits) + count
    await until(lambda: len(load.waits) >= goal)


async def until(condition: Callable[[], bool]) -> None:
    """Until it holds; the test's own time limit ends what never does."""
    while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
        await asyncio.sleep(0.02)


def has_grown(account: Path, calls: int) -> bool:
    """Whether more than so many calls were made."""
    return len(calls_in(account)) > calls


async def test_the_spool_takes_over_and_gives_back(tmp_path: Path) -> None:
    async with under_load(tmp_path, spool=SpoolPlace(folder=tmp_path / "spool")) as (line, load, ledger, _):
        await more(load, 30)
        for _ in range(2):
            await line.cut()
            await more(load, 60)
            assert ledger.counts.spooled > 0
            assert ledger.spooled_bytes > 0
            assert ledger.trouble is None
            await line.mend()
            await until(lambda: not ledger.spooled_bytes)
            await more(load, 30)
        assert load.refused == 0
    assert not list((tmp_path / "spool").iterdir())


async def test_a_full_spool_refuses_and_loses_nothing(tmp_path: Path) -> None:
    place = SpoolPlace(folder=tmp_path / "spool", most_bytes=20_000)
    limits = under_load(tmp_path, spool=place)
    async with limits as (line, load, ledger, _):
        await more(load, 10)
        await line.cut()
        await until(lambda: load.refused > 0)
        assert ledger.spooled_bytes <= 20_000
        await line.mend()
        await more(load, 10)


async def test_what_a_dead_process_spooled_is_written_by_the_next(tmp_path: Path) -> None:
    """Killed at each point of the spool, while the database is away; and once with everything spooled."""
    account, spool = tmp_path / "account", tmp_path / "spool"
    async with fresh_url("postgresql", tmp_path) as url, a_line(url) as (line, over):
        await prepare(url)
        beside = Database(url)
        for points in (SPOOLED[:1], SPOOLED[1:2]):
            dying = asyncio.create_task(
                crash(over, account, "--spool", str(spool), "--points", ",".join(points), "--clients", "4")
            )
            await until(partial(has_grown, account, len(calls_in(account))))
            await line.cut()
            assert set(await dying) == set(points)
            assert list(spool.iterdir())
            await line.mend()
        for point in SPOOLED[2:]:
            died = await crash(over, account, "--spool", str(spool), "--points", point, "--clients", "2")
            assert set(died) == {point}
        ledger = LedgerWriter(beside, PRICES, reservations=Counter(), limits=LIMITS, spool=SpoolPlace(folder=spool))
        await ledger.start()
        await ledger.stop()
        await beside.dispose()
        assert not list(spool.iterdir())
        await add_up(url, account)


async def test_what_may_not_be_spooled_is_refused(tmp_path: Path) -> None:
    class Hard(Counter):
        def may_spool(self, _reservation: object) -> bool:
            return False

    async with fresh_url("postgresql", tmp_path) as url, a_line(url) as (line, over):
        await prepare(url)
        database = Database(over)
        limits = WriterLimits(linger_s=0.01, heartbeat_s=3600.0, answer_s=0.5, patience_s=0.5)
        place = SpoolPlace(folder=tmp_path / "spool")
        ledger = LedgerWriter(database, PRICES, reservations=Hard(), limits=limits, spool=place)
        await ledger.start()
        await line.cut()
        record = a_record()
        await ledger.open_request(record)
        with pytest.raises(LedgerUnavailable):
            await ledger.log_for(record, BODY).open(an_opening(an_attempt()))
        await line.mend()
        await ledger.flush()
        await ledger.stop()
        assert await rows_of(database, attempts) == []
        await database.dispose()


async def test_without_a_database_at_the_start_there_is_no_start(tmp_path: Path) -> None:
    async with fresh_url("postgresql", tmp_path) as url, a_line(url) as (line, over):
        await line.cut()
        with pytest.raises(DatabaseUnavailable):
            await LedgerWriter(Database(over), PRICES, spool=SpoolPlace(folder=tmp_path)).start()


@pytest.mark.evidence
@pytest.mark.timeout(600)
async def test_a_minute_without_a_database(tmp_path: Path) -> None:
    place = SpoolPlace(folder=tmp_path / "spool")
    async with under_load(tmp_path, spool=place, clients=32, pause_s=0.2) as (line, load, ledger, _):
        await asyncio.sleep(5)
        await line.cut()
        before, waited = len(load.waits), time.monotonic()
        await asyncio.sleep(60)
        during = load.waits[before:]
        size = ledger.spooled_bytes
        await line.mend()
        mended = time.monotonic()
        await until(lambda: not ledger.spooled_bytes)
        drained = time.monotonic() - mended
        await asyncio.sleep(5)
        assert load.refused == 0
        worst, middle = max(load.waits), sorted(during)[len(during) // 2]
        assert worst < LIMITS.patience_s
    sys.stdout.write(
        f"\ndatabase away {mended - waited:.0f} s under load: {len(during)} calls opened meanwhile, 0 refused, "
        f"median wait {middle * 1000:.0f} ms, worst of all {worst * 1000:.0f} ms; spool {size} bytes, "
        f"drained {drained:.1f} s after the return; {len(load.waits)} calls, all in the ledger once\n"
    )
