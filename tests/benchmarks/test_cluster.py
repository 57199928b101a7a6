"""Three gateways behind nginx, of which something is taken away under load: what clients see, and the ledger after it.

Real processes, PostgreSQL, Redis and nginx; OpenAI's own client without retries; the upstream keeps its own account.
Asserted: what may fail and what may not, and that the ledger is complete. Printed: how much and for how long.
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import openai
import pytest

from gateway.ledger.tables import attempts, settlements
from tests.books import Books, books, settled
from tests.callers import Account, accounting, calling
from tests.cluster import Cluster, cluster
from tests.databases import rows_of
from tests.gateway_server import HELLO
from tests.integration.test_migrations import REVISIONS, everything, fill

pytestmark = [pytest.mark.evidence, pytest.mark.timeout(900)]

CLIENTS = 12
SPOOL = "ledger: {spool: spool}\n"
Say = Callable[[str], None]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    def told(line: str) -> None:
        with capsys.disabled():
            print(line)

    return told


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What runs, and what its upstream says."""

    one: Cluster
    account: Account
    key: str
    key_id: str

    async def books(self) -> Books:
        """Once everything has ended that will."""
        database = self.one.database()
        try:
            await settled(database)
            return await books(database, self.account.told)
        finally:
            await database.dispose()


@asynccontextmanager
async def scene(folder: Path, *sections: str, budget_usd: str | None = "1000") -> AsyncGenerator[Scene]:
    """Three replicas, a key, and a hard budget over it that is far away."""
    account = Account()
    async with accounting(account) as upstream:
        with contextlib.ExitStack() as stack:
            one = await asyncio.to_thread(stack.enter_context, cluster(folder, upstream.base_url, *sections))
            key = await asyncio.to_thread(one.key)
            if budget_usd is not None:
                wanted = {"level": "key", "scope": key["id"], "period": "total", "limit_usd": budget_usd}
                await asyncio.to_thread(one.admin, "PUT", "/admin/budgets", wanted)
            await asyncio.gather(*(known(replica.url, key["secret"]) for replica in one.replicas))
            yield Scene(one=one, account=account, key=key["secret"], key_id=key["id"])
            await asyncio.to_thread(stack.close)


async def known(url: str, key: str) -> None:
    """Return once this process has answered with this key: who is not known yet is not served without the database."""
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=20, timeout=60) as client:
        await client.chat.completions.create(model="auto", messages=HELLO, max_tokens=100)


async def test_a_rolling_restart_under_streams_fails_no_request(tmp_path: Path, say: Say) -> None:
    async with scene(tmp_path) as seen:
        async with calling(seen.one.url, seen.key, clients=CLIENTS) as callers:
            await asyncio.sleep(2)
            stopped, started = list[float](), list[float]()
            for replica in seen.one.replicas:
                began = time.monotonic()
                assert await asyncio.to_thread(replica.stop) == 0
                stopped.append(time.monotonic() - began)
                began = time.monotonic()
                await asyncio.to_thread(replica.start)
                started.append(time.monotonic() - began)
                await asyncio.sleep(1.5)  # until nginx asks it again
        found = await seen.books()
    took = {one.replica.rpartition(" ")[2] for one in callers.asked}
    say(
        f"\nrolling restart: {len(callers.asked)} streams by {CLIENTS} clients, {dict(callers.tally())}; "
        f"SIGTERM to exit {show(stopped)}, start to ready {show(started)}; slowest stream {callers.slowest_s():.2f} s\n"
        f"{found.line()}"
    )
    assert len(took) == 3
    assert not callers.failed
    found.check()
    assert found.attempts == len(seen.account.told) == len(callers.asked) + len(seen.one.replicas)
    assert set(found.states) == {"accepted"}


async def test_a_killed_process_fails_only_what_was_under_way_in_it(tmp_path: Path, say: Say) -> None:
    async with scene(tmp_path) as seen:
        victim = seen.one.replicas[1]
        async with calling(seen.one.url, seen.key, clients=CLIENTS, streams=0.7) as callers:
            await asyncio.sleep(3)
            victim.kill()
            killed = time.monotonic()
            await asyncio.sleep(1)
            open_then = await open_attempts(seen.one)
            while await open_attempts(seen.one) & open_then and time.monotonic() < killed + 60:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
            recovered = time.monotonic() - killed
            await asyncio.to_thread(victim.start)
            await asyncio.sleep(3)
        found = await seen.books()
    failed = callers.failed
    say(
        f"\nSIGKILL of one of three: {len(callers.asked)} requests, {dict(callers.tally())}; all failures were under "
        f"way in it when it died; what it left open was settled by the others {recovered:.1f} s after\n{found.line()}"
    )
    assert failed, "it was killed while idle"
    assert all(one.began <= killed and one.replica.endswith(f":{victim.port}") for one in failed), failed
    found.check()
    assert found.errors["orphaned"] >= 1
    assert sum(spent for _, spent in found.windows) == found.spent_nanousd  # the budget knows every nano-dollar of it
    assert any(one.replica.endswith(f":{victim.port}") and one.began > killed for one in callers.asked)


async def test_redis_restarted(tmp_path: Path, say: Say) -> None:
    async with scene(tmp_path, "cache: {shared: true}\n", budget_usd=None) as seen:
        limits = {"requests_per_minute": 100_000}
        await asyncio.to_thread(seen.one.admin, "PUT", f"/admin/limits/key/{seen.key_id}", limits)
        async with calling(seen.one.url, seen.key, clients=CLIENTS) as callers:
            await asyncio.sleep(2)
            began = time.monotonic()
            seen.one.redis.stop(signal.SIGKILL)
            await asyncio.sleep(3)
            await asyncio.to_thread(seen.one.redis.start)
            back = time.monotonic()
            await asyncio.sleep(3)
        found = await seen.books()
    say(
        f"\nRedis killed and {back - began:.1f} s later back: {len(callers.asked)} streams, {dict(callers.tally())}, "
        f"meanwhile {dict(callers.tally(began, back))}; slowest {callers.slowest_s():.2f} s\n{found.line()}"
    )
    assert not callers.failed
    found.check()
    assert found.attempts == len(seen.account.told)


@pytest.mark.parametrize("spool", [True, False], ids=["with a spool", "without"])
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGQUIT], ids=["stopped", "crashed"])
async def test_postgresql_restarted(spool: bool, sign: signal.Signals, tmp_path: Path, say: Say) -> None:
    async with scene(tmp_path, SPOOL if spool else "", budget_usd=None) as seen:
        async with calling(seen.one.url, seen.key, clients=CLIENTS, pause_s=0.05) as callers:
            await asyncio.sleep(3)
            began = time.monotonic()
            await asyncio.to_thread(seen.one.postgres.stop, sign)
            await asyncio.sleep(3 if spool else 8)  # a call that cannot be written down is waited with for 5 s
            called, looked = len(seen.account.told), time.monotonic()
            await asyncio.to_thread(seen.one.postgres.start)
            back = time.monotonic()
            while any(replica.readiness() != 200 for replica in seen.one.replicas):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
            ready = time.monotonic() - back
            await asyncio.sleep(5)
        found = await seen.books()
    way = "with a spool" if spool else "without a spool"
    say(
        f"\nPostgreSQL {'stopped' if sign == signal.SIGINT else 'crashed'}, {back - began:.1f} s away, {way}: "
        f"{len(callers.asked)} streams, {dict(callers.tally())}; all ready {ready:.1f} s after it was back; "
        f"slowest {callers.slowest_s():.2f} s\n{found.line()}"
    )
    found.check()
    assert found.attempts >= len(seen.account.told)
    trouble = {one.trouble.partition(" ")[0] for one in callers.failed}
    if spool:
        assert not callers.failed, callers.tally()
        assert found.spooled > 0
    else:
        assert trouble == {"503"}, callers.tally()  # refused before a model was called, and none was cut
        assert called == callers.tally(until=looked)["ok"] + len(seen.one.replicas), "called and not answered"


async def test_three_that_start_at_once_bring_an_older_database_up(tmp_path: Path, say: Say) -> None:
    with contextlib.ExitStack() as stack:
        one = await asyncio.to_thread(stack.enter_context, cluster(tmp_path, "http://127.0.0.1:9/v1", started=False))
        database = one.database()
        await database.migrate()
        await fill(database)
        await database.downgrade(REVISIONS[-3])
        before = await everything(database)
        began = time.monotonic()
        for replica in one.replicas:
            replica.start(wait=False)
        for replica in one.replicas:
            await asyncio.to_thread(replica.await_ready)
        after = await everything(database)
        say(f"\n{REVISIONS[-3]} to {REVISIONS[-1]} by three at once: all ready after {time.monotonic() - began:.1f} s")
        assert (await database.schema()).at_head
        for name in set(before) - {"writers", "alembic_version"}:
            kept = [{column: row[column] for column in before[name][0]} for row in after[name]] if before[name] else []
            assert [row for row in kept if row in before[name]] == before[name], name
        await database.dispose()
        await asyncio.to_thread(stack.close)


async def open_attempts(one: Cluster) -> set[str]:
    """Those that have not ended."""
    database = one.database()
    try:
        tables = [await rows_of(database, table) for table in (attempts, settlements)]
    finally:
        await database.dispose()
    opened, ended = ({row["attempt_id"] for row in rows} for rows in tables)
    return opened - ended


def show(seconds: list[float]) -> str:
    return " ".join(f"{one:.1f}" for one in seconds) + " s"
