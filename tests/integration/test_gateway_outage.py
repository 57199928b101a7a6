"""Redis and the database go away, hang and come back under load, while a gateway in a process of its own serves."""

import asyncio
import contextlib
import json
import shutil
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.databases import fresh_url
from tests.gateway_process import served, spillway
from tests.gateway_server import HELLO, OBSERVING, models, written
from tests.outage import a_line
from tests.upstream import BadUpstream

TOKEN = "an-operators-token-of-some-length"
ADMIN = {"authorization": f"Bearer {TOKEN}"}
LONGEST_S = 20.0  # that any request may take, on a machine that does much else; within, waits are of some seconds
Seen = list[tuple[int, str, float]]


@contextmanager
def a_redis(port: int, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A Redis of one's own, on the loopback interface."""
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    process = subprocess.Popen([*command, "--dir", str(folder)], stdout=subprocess.DEVNULL)
    try:
        ends = time.monotonic() + 20
        while time.monotonic() < ends:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.02)
        yield process
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


async def load(http: httpx.AsyncClient, seen: Seen, *, clients: int = 5, each: int = 4) -> None:
    """Requests, by turns whole and streamed; what came of each, and how long it took."""

    async def client(n: int) -> None:
        for k in range(each):
            began = time.monotonic()
            body = {"model": "auto", "messages": HELLO, "stream": (n + k) % 2 == 0}
            response = await http.post("/v1/chat/completions", json=body)
            code = "" if response.status_code == 200 else str(response.json()["error"]["code"])
            seen.append((response.status_code, code, time.monotonic() - began))

    await asyncio.gather(*(client(n) for n in range(clients)))


def statuses(seen: Seen) -> Counter[tuple[int, str]]:
    assert max(took for _, _, took in seen) < LONGEST_S
    return Counter((status, code) for status, code, _ in seen)


async def health(http: httpx.AsyncClient) -> tuple[int, int, dict[str, str]]:
    alive, ready = await http.get("/healthz"), await http.get("/readyz")
    return alive.status_code, ready.status_code, ready.json()["checks"]


async def measured(http: httpx.AsyncClient, line: str) -> None:
    """Return once the metrics say so."""
    ends = time.monotonic() + 30
    while line not in (await http.get("/metrics")).text:
        assert time.monotonic() < ends, line
        await asyncio.sleep(0.05)


async def ready_again(http: httpx.AsyncClient) -> None:
    """Return once it is."""
    while True:
        if (await http.get("/readyz")).status_code == 200:
            return
        await asyncio.sleep(0.05)


@asynccontextmanager
async def a_gateway(folder: Path, *sections: str) -> AsyncGenerator[tuple[Any, httpx.AsyncClient]]:
    """A process, and a client of it that has a key."""
    written(folder, *sections, OBSERVING, f"admin: {{token: {TOKEN}}}\n")
    with contextlib.ExitStack() as stack:  # in a thread, since the way to the database is in this loop
        process, url = await asyncio.to_thread(stack.enter_context, served(folder))
        async with httpx.AsyncClient(base_url=url, timeout=60) as http:
            made = (await http.post("/admin/keys", json={"name": "app"}, headers=ADMIN)).json()
            http.headers["authorization"] = f"Bearer {made['secret']}"
            http.headers["x-key-id"] = made["id"]
            yield process, http


async def spent(folder: Path) -> dict[str, int]:
    """By the ledger's own account."""
    told = await asyncio.to_thread(lambda: spillway("spend", "--json", folder=folder))
    total: dict[str, int] = json.loads(told.stdout)["total"]
    return total


@pytest.mark.parametrize("when_down", ["local", "closed"])
async def test_redis_hangs_dies_and_comes_back(when_down: str, tmp_path: Path) -> None:
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed here")
    port, rules = free_port(), f"rate_limits: {{when_redis_is_down: {when_down}}}\n"
    there = f"redis: {{url: 'redis://127.0.0.1:{port}/0', timeout_s: 1}}\n"
    down = (200, "") if when_down == "local" else (503, "rate_limits_unavailable")
    async with (
        BadUpstream() as upstream,
        a_gateway(tmp_path, models(large=upstream.base_url), there, rules) as (_, http),
    ):
        limits = {"requests_per_minute": 100_000}
        key_id = http.headers["x-key-id"]
        with a_redis(port, tmp_path) as redis:
            assert (await http.put(f"/admin/limits/key/{key_id}", json=limits, headers=ADMIN)).status_code == 200
            await measured(http, "spillway_rates_redis_away 0.0")
            for sign in (signal.SIGSTOP, signal.SIGKILL):  # it hangs, then it is gone
                redis.send_signal(sign)
                seen: Seen = []
                await load(http, seen)
                assert statuses(seen) == {down: 20}, sign
                assert await health(http) == (200, 200, {"gateway": "ok", "database": "ok"})
                await measured(http, "spillway_rates_redis_away 1.0")
        with a_redis(port, tmp_path):
            await asyncio.sleep(1.2)  # for so long it is not asked again
            seen = []
            await load(http, seen)
            assert statuses(seen)[200, ""] >= 15
            await measured(http, "spillway_rates_redis_away 0.0")


async def test_a_database_that_is_away_is_stood_in_for_by_the_spool(tmp_path: Path) -> None:
    async with BadUpstream() as upstream, fresh_url("postgresql", tmp_path) as url, a_line(url) as (line, over):
        told = (f"database: {{url: '{over}'}}\n", "ledger: {spool: spool}\n")
        async with a_gateway(tmp_path, models(large=upstream.base_url), *told) as (process, http):
            seen: Seen = []
            await load(http, seen)
            running = asyncio.create_task(load(http, seen, each=8))
            await asyncio.sleep(0.1)  # into the midst of it
            await line.cut()
            await running
            alive, ready, checks = await health(http)
            assert (alive, ready, checks["gateway"]) == (200, 200, "ok")
            assert checks["database"].endswith("; the ledger's spool stands in for it")
            await load(http, seen)
            stranger = {"authorization": "Bearer sk-spw-nobody-has-this-one"}
            unknown = await http.post("/v1/chat/completions", json={"model": "auto"}, headers=stranger)
            assert unknown.status_code == 503
            await line.mend()
            await measured(http, "spillway_ledger_spooled_bytes 0.0")
            await load(http, seen)
            assert await health(http) == (200, 200, {"gateway": "ok", "database": "ok"})
            assert statuses(seen) == {(200, ""): 100}
            process.terminate()
            assert await asyncio.to_thread(process.wait, 60) == 0
        total = await spent(tmp_path)
        assert (total["accepted"], total["open"], len(upstream.asked)) == (100, 0, 100)


async def test_without_a_spool_nothing_is_called_that_cannot_be_written_down(tmp_path: Path) -> None:
    async with BadUpstream() as upstream, fresh_url("postgresql", tmp_path) as url, a_line(url) as (line, over):
        sections = (models(large=upstream.base_url), f"database: {{url: '{over}'}}\n")
        async with a_gateway(tmp_path, *sections) as (process, http):
            seen: Seen = []
            await load(http, seen)
            await line.cut()
            called, refused = len(upstream.asked), list[tuple[int, str, float]]()
            await load(http, refused, each=2)
            assert {status for status, _ in statuses(refused)} == {503}
            assert len(upstream.asked) == called
            alive, ready, checks = await health(http)
            assert (alive, ready) == (200, 503)
            assert checks["database"].startswith("does not answer")
            await line.mend()
            await ready_again(http)
            await load(http, seen)
            assert statuses(seen) == {(200, ""): 40}
            process.terminate()
            assert await asyncio.to_thread(process.wait, 60) == 0
        total = await spent(tmp_path)
        assert (total["accepted"], total["open"], len(upstream.asked)) == (40, 0, 40)


@pytest.mark.parametrize("spool", [True, False])
async def test_a_database_that_falls_silent_holds_no_request_for_long(spool: bool, tmp_path: Path) -> None:
    """Its connections stay open and nothing comes over them: somebody has to lose patience."""
    async with BadUpstream() as upstream, fresh_url("postgresql", tmp_path) as url, a_line(url) as (line, over):
        ledger = "ledger: {spool: spool}\n" if spool else ""
        sections = (models(large=upstream.base_url), f"database: {{url: '{over}'}}\n", ledger)
        async with a_gateway(tmp_path, *sections) as (process, http):
            seen, during = list[tuple[int, str, float]](), list[tuple[int, str, float]]()
            await load(http, seen)
            called = len(upstream.asked)
            line.hang()
            await load(http, during, each=2)
            assert {status for status, _ in statuses(during)} == {200 if spool else 503}
            assert (await health(http))[:2] == (200, 200 if spool else 503)
            assert len(upstream.asked) == called + (10 if spool else 0)
            line.resume()
            await ready_again(http)
            await measured(http, "spillway_ledger_unsettled 0.0")
            if spool:
                await measured(http, "spillway_ledger_spooled_bytes 0.0")
            await load(http, seen)
            assert statuses(seen) == {(200, ""): 40}
            process.terminate()
            assert await asyncio.to_thread(process.wait, 60) == 0
        total = await spent(tmp_path)
        assert (total["accepted"], total["open"]) == (50 if spool else 40, 0)
        assert len(upstream.asked) == total["accepted"]
