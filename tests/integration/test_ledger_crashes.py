"""A process killed at every named point and at any moment: afterwards no call is missing, doubled or left reserved."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections import Counter as Tally
from pathlib import Path

import pytest
from sqlalchemy import case, func, select

from gateway.database import Database
from gateway.ledger.faults import POINTS
from gateway.ledger.tables import attempts, closings, entries, line_items, requests, settlements
from gateway.ledger.verify import verify
from gateway.ledger.writer import LedgerWriter
from tests.crashing import LIMITS, ONCE, Counter, counted, prepare
from tests.databases import ENGINES, Engine, fresh_url
from tests.ledgers import PRICES

SPOOLED = tuple(point for point in POINTS if point.startswith("spool-"))
USUAL = tuple(point for point in POINTS if point not in SPOOLED)


async def crash(url: str, account: Path, *arguments: str) -> Tally[str]:
    """Run the load and kill it as told; how often each point was died at."""
    command = (sys.executable, "-m", "tests.crashing", url, str(account), *arguments)
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE)
    said, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()[-2000:]
    return Tally(said.decode().split("\n")[:-1])


def calls_in(account: Path) -> Tally[str]:
    """Every call that reached the upstream."""
    return Tally(account.read_text().split() if account.exists() else ())


async def add_up(url: str, account: Path) -> int:
    """Start once more, which sweeps; then hold the ledger against the upstream's account. Calls in it."""
    database = Database(url)
    ledger = LedgerWriter(database, PRICES, reservations=Counter(), limits=LIMITS)
    await ledger.start()
    await ledger.stop()
    called = calls_in(account)
    assert set(called.values()) <= {1}
    async with database.read() as connection:
        opened = set((await connection.execute(select(attempts.c.attempt_id))).scalars())
        rows = await connection.execute(select(settlements.c.attempt_id, settlements.c.amount_nanousd))
        ended = {row.attempt_id: row.amount_nanousd for row in rows}
        lines = (await connection.execute(select(func.sum(line_items.c.amount_nanousd)))).scalar()
        open_requests = (
            await connection.execute(
                select(func.count())
                .select_from(requests.outerjoin(closings, closings.c.decision_id == requests.c.decision_id))
                .where(closings.c.decision_id.is_(None))
            )
        ).scalar()
        balances = {account: await _balance(connection, account) for account in ("tenant", "reserved", "provider")}
    spent = sum(amount or 0 for amount in ended.values())
    assert set(called) <= opened, "a call without a row"
    assert set(ended) == opened, "an attempt without an end"
    assert open_requests == 0
    assert sum(balances.values()) == 0
    assert balances == {"tenant": spent, "reserved": 0, "provider": -spent}
    assert int(lines or 0) == spent
    assert await counted(database) == (0, spent)
    verdict = await verify(database)
    assert verdict.is_sound, verdict.findings[:5]
    await database.dispose()
    return len(called)


async def _balance(connection, account: str) -> int:  # type: ignore[no-untyped-def]  # a connection
    signed = case(
        (entries.c.debit == account, entries.c.amount_nanousd), (entries.c.credit == account, -entries.c.amount_nanousd)
    )
    return int((await connection.execute(select(func.coalesce(func.sum(signed), 0)))).scalar() or 0)


@pytest.mark.parametrize("engine", ENGINES)
async def test_killed_at_every_named_point(engine: Engine, tmp_path: Path) -> None:
    account = tmp_path / "account"
    async with fresh_url(engine, tmp_path) as url:
        await prepare(url)
        points = [point for point in USUAL if point not in ONCE]
        # an orphan to sweep is left by the crash before
        ordered = [*points, *(point for swept in ONCE[:3] for point in ("opening-answered", swept))]
        died = await crash(url, account, "--points", ",".join(ordered), "--clients", "4")
        assert set(died) == set(USUAL), died
        assert await add_up(url, account) > 10


@pytest.mark.parametrize("engine", ENGINES)
async def test_killed_at_any_moment(engine: Engine, tmp_path: Path) -> None:
    account = tmp_path / "account"
    async with fresh_url(engine, tmp_path) as url:
        await prepare(url)
        await crash(url, account, "--moments", "8")
        assert await add_up(url, account) > 0


@pytest.mark.evidence
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("engine", ENGINES)
async def test_killed_at_three_hundred_moments(engine: Engine, tmp_path: Path) -> None:
    account = tmp_path / "account"
    async with fresh_url(engine, tmp_path) as url:
        await prepare(url)
        died = await crash(url, account, "--moments", "310", "--clients", "32", "--seed", "7")
        calls = await add_up(url, account)
    assert died["moment"] >= 300
    assert calls > 10 * died["moment"], "the kills met no load"
    sys.stdout.write(
        f"\n{engine}: killed {died['moment']} times at random moments; {calls} calls, all in the ledger once\n"
    )
