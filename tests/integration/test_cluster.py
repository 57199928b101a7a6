"""Three gateways on one PostgreSQL and one Redis, behind nginx, all started in the same moment on an empty database."""

import asyncio
import contextlib
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select

from gateway.budgets.tables import budget_holds, budget_windows
from gateway.database import Database
from gateway.ledger.bounds import call_bound
from gateway.ledger.tables import settlements
from tests.cluster import Cluster, cluster
from tests.databases import rows_of
from tests.gateway_server import HELLO
from tests.upstream import BadUpstream, answer

pytestmark = pytest.mark.timeout(400)  # three processes start: seconds, or minutes where much else is done

LIMIT, ASKED = 12, 36
CALLS, MOST_TOKENS = 40, 10
BODY = {"model": "auto", "messages": HELLO, "max_tokens": MOST_TOKENS}
COST = 10 * 1_000 + 2 * 10_000  # nano-USD of the upstream's usual answer
BOUND = (call_bound(BODY).prompt_tokens or 0) * 1_000 + MOST_TOKENS * 10_000  # and the most that it could be


async def test_three_share_a_database_rates_and_a_hard_budget(tmp_path: Path) -> None:
    async with BadUpstream() as upstream:
        upstream.will(answer("hello"))
        with contextlib.ExitStack() as stack:
            one = await asyncio.to_thread(stack.enter_context, cluster(tmp_path, upstream.base_url))
            async with httpx.AsyncClient(base_url=one.url, timeout=60) as http:
                await rates_are_shared(one, http)
                await budgets_are_shared(one, http, upstream)
            exits = await asyncio.gather(*(asyncio.to_thread(replica.stop) for replica in one.replicas))
            assert exits == [0, 0, 0]
            await asyncio.to_thread(stack.close)


async def rates_are_shared(one: Cluster, http: httpx.AsyncClient) -> None:
    """Of three processes together as many pass as of one."""
    key = await asyncio.to_thread(one.key)
    limits = {"requests_per_minute": LIMIT}
    await asyncio.to_thread(one.admin, "PUT", f"/admin/limits/key/{key['id']}", limits)
    began = time.monotonic()
    statuses, replicas = Counter[int](), set[str]()
    for response in await asyncio.gather(*(ask(http, key["secret"]) for _ in range(ASKED))):
        statuses[response.status_code] += 1
        replicas.add(response.headers["x-upstream"])
    most = int(LIMIT * (1 + (time.monotonic() - began) / 60))
    assert len(replicas) == 3
    assert set(statuses) == {200, 429}
    assert LIMIT <= statuses[200] <= most


async def budgets_are_shared(one: Cluster, http: httpx.AsyncClient, upstream: BadUpstream) -> None:
    """Exactly as much is spent as fits, whoever took the requests, and nothing stays set aside."""
    key = await asyncio.to_thread(one.key)
    amount = (CALLS - 1) * COST + BOUND  # one nano-dollar less, and the last call would not fit
    wanted = {"level": "key", "scope": key["id"], "period": "total", "limit_usd": f"{amount / 1e9:.9f}"}
    budget = await asyncio.to_thread(one.admin, "PUT", "/admin/budgets", wanted)
    seen, before = Counter[tuple[int, str]](), len(upstream.asked)

    async def asked_once() -> bool:
        response = await ask(http, key["secret"])
        code = "" if response.status_code == 200 else str(response.json()["error"]["code"])
        seen[response.status_code, code] += 1
        return not code

    async def client() -> None:
        while await asked_once():
            pass

    database = one.database()
    try:
        while True:
            await asyncio.gather(*(client() for _ in range(12)))
            await nothing_is_held(database)
            if not await asked_once():  # alone, so that nothing but what is spent stands against it
                break
        await nothing_is_held(database)
        (window,) = [row for row in await rows_of(database, budget_windows) if row["budget_id"] == budget["id"]]
        async with database.read() as connection:
            all_spent = (await connection.execute(select(func.sum(settlements.c.amount_nanousd)))).scalar_one()
    finally:
        await database.dispose()
    called = len(upstream.asked) - before
    assert set(seen) == {(200, ""), (429, "budget_exceeded")}
    assert seen[200, ""] == called == CALLS
    assert (window["reserved_nanousd"], window["settled_nanousd"]) == (0, CALLS * COST)
    assert all_spent == len(upstream.asked) * COST


async def nothing_is_held(database: Database) -> None:
    """Return once what was set aside is settled, which is written a moment after a request's end."""
    async with asyncio.timeout(60):
        while await rows_of(database, budget_holds):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def ask(http: httpx.AsyncClient, secret: str) -> httpx.Response:
    return await http.post("/v1/chat/completions", json=BODY, headers={"authorization": f"Bearer {secret}"})
