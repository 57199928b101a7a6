"""More requests than the gateway may serve at once: some wait, others are told to come back; memory is bounded."""

import asyncio
from collections import Counter
from pathlib import Path

import httpx
import pytest

from tests.gateway_process import served, stuttering
from tests.gateway_server import HELLO, OBSERVING, models, serving, written
from tests.upstream import BadUpstream, answer

OPEN = "auth: {required: false}\n"
MEGABYTE = 1_000_000


async def said(http: httpx.AsyncClient, line: str) -> None:
    """Return once the metrics say so."""
    while True:
        if line in (await http.get("/metrics")).text:
            return
        await asyncio.sleep(0.01)


async def test_those_beyond_the_queue_are_shed_and_the_others_served(tmp_path: Path) -> None:
    async with stuttering() as (upstream, carry_on):
        narrow = "server: {max_concurrency: 3, queue: {most: 2, patience_s: 30}}\n"
        async with serving(tmp_path, models(large=upstream.base_url), OBSERVING, OPEN, narrow) as gateway:
            asking = [asyncio.create_task(gateway.chat(stream=True)) for _ in range(3)]
            await upstream.reached(3)
            asking += [asyncio.create_task(gateway.chat(stream=True)) for _ in range(2)]
            await said(gateway.http, "spillway_requests_waiting 2.0")  # metrics are not among those who wait

            shed = await gateway.chat()
            assert (shed.status_code, shed.json()["error"]["code"]) == (503, "overloaded")
            assert int(shed.headers["retry-after"]) >= 1
            assert "x-should-retry" not in shed.headers  # it cost nothing: clients may try again
            assert "spillway_requests_shed_total 1.0" in (await gateway.http.get("/metrics")).text
            carry_on.set()
            assert [(await one).status_code for one in asking] == [200] * 5
            assert len(upstream.asked) == 5
            assert (await gateway.http.get("/readyz")).status_code == 200


async def test_anthropics_clients_hear_of_it_in_their_own_words(tmp_path: Path) -> None:
    async with stuttering() as (upstream, carry_on):
        narrow = "server: {max_concurrency: 1, queue: {most: 0}}\n"
        async with serving(tmp_path, models(large=upstream.base_url), OBSERVING, OPEN, narrow) as gateway:
            first = asyncio.create_task(gateway.chat(stream=True))
            await upstream.reached(1)
            shed = await gateway.http.post("/v1/messages", json={"model": "auto", "max_tokens": 5, "messages": HELLO})
            assert (shed.status_code, shed.json()["error"]["type"]) == (529, "overloaded_error")
            carry_on.set()
            await first


async def test_strangers_take_nobodys_turn(tmp_path: Path) -> None:
    async with stuttering() as (upstream, carry_on):
        narrow = "server: {max_concurrency: 1, queue: {most: 0}}\n"
        async with serving(tmp_path, models(large=upstream.base_url), OBSERVING, narrow) as gateway:
            first = asyncio.create_task(gateway.chat(stream=True))
            await upstream.reached(1)
            body = {"model": "auto", "messages": HELLO}
            unknown = {"authorization": "Bearer sk-spw-nobody"}
            refused = await gateway.http.post("/v1/chat/completions", json=body, headers=unknown)
            assert refused.status_code == 401
            carry_on.set()
            await first


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / MEGABYTE


@pytest.mark.timeout(180)
async def test_bodies_that_wait_are_not_in_memory(tmp_path: Path) -> None:
    """150 bodies of 2 MB, 300 MB in all, of which four at once may be read."""
    async with BadUpstream() as upstream:
        upstream.will(answer("yes"))
        narrow = "server: {max_concurrency: 4, queue: {most: 1000, patience_s: 120}, access_log: false}\n"
        written(tmp_path, models(large=upstream.base_url), OBSERVING, OPEN, narrow)
        with served(tmp_path) as (process, url):
            body = {"model": "auto", "messages": [{"role": "user", "content": "word " * 400_000}]}
            limits = httpx.Limits(max_connections=150)
            async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as http:
                await http.post("/v1/chat/completions", json=body)
                before, highest = resident_mb(process.pid), 0.0

                async def one() -> int:
                    nonlocal highest
                    status = (await http.post("/v1/chat/completions", json=body)).status_code
                    highest = max(highest, resident_mb(process.pid))
                    return status

                assert Counter(await asyncio.gather(*(one() for _ in range(150)))) == {200: 150}
    print(f"resident before {before:.0f} MB, at most {highest:.0f} MB")
    assert highest - before < 4 * 2 * 12 + 150 * 0.3
