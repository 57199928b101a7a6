"""How soon all of three gateways know what was changed in one: keys, limits, budgets, answers, the configuration."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from tests.cluster import Cluster, cluster
from tests.gateway_server import HELLO, models
from tests.upstream import BadUpstream, answer

pytestmark = [pytest.mark.evidence, pytest.mark.timeout(600)]

EVERY_S = 0.02
KEY_S = 3.0  # what a process remembers of a key, its limits included
LATE_S = 2.0  # of a busy machine
Ask = Callable[[httpx.AsyncClient], Awaitable[bool]]


async def test_what_is_changed_in_one_is_known_in_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with BadUpstream() as upstream:
        upstream.will(answer("hello"))
        with contextlib.ExitStack() as stack:
            one = await asyncio.to_thread(
                stack.enter_context, cluster(tmp_path, upstream.base_url, "cache: {ttl_s: 600}\n")
            )
            async with contextlib.AsyncExitStack() as clients:
                http = [
                    await clients.enter_async_context(httpx.AsyncClient(base_url=replica.url, timeout=30))
                    for replica in one.replicas
                ]
                found = await news(one, http, upstream)
            await asyncio.to_thread(stack.close)
    with capsys.disabled():
        print("\n" + "\n".join(f"{what}: {' '.join(f'{s:.2f}' for s in took)} s" for what, took in found.items()))
    late = {what: took for what, took in found.items() if max(took) > KEY_S + LATE_S}
    assert not late


async def news(one: Cluster, http: list[httpx.AsyncClient], upstream: BadUpstream) -> dict[str, list[float]]:
    """Seconds from the first process' answer to a change until each of the three acts upon it."""
    here, found = one.replicas[0].url, dict[str, list[float]]()
    made = await told(one, "POST", "/admin/keys", {"name": "app"})
    key, headers = made["id"], {"authorization": f"Bearer {made['secret']}"}

    async def status(client: httpx.AsyncClient, **more: object) -> int:
        body = {"model": "auto", "messages": HELLO, "max_tokens": 10} | more
        return (await client.post("/v1/chat/completions", json=body, headers=headers)).status_code

    def answers(wanted: int) -> Ask:
        async def ask(client: httpx.AsyncClient) -> bool:
            return await status(client) == wanted

        return ask

    found["a new key"] = await until(http, answers(200))
    await told(one, "PUT", f"/admin/limits/key/{key}", {"tokens_per_minute": 1})
    found["a limit"] = await until(http, answers(429))
    await told(one, "PUT", f"/admin/limits/key/{key}", {"tokens_per_minute": 10_000_000})
    found["a limit's end"] = await until(http, answers(200))
    wanted = {"level": "key", "scope": key, "period": "total", "limit_usd": "0.000000001"}
    budget = await told(one, "PUT", "/admin/budgets", wanted)
    found["a hard budget"] = await until(http, answers(429))
    await asyncio.to_thread(one.admin, "DELETE", f"/admin/budgets/{budget['id']}", at=here)
    found["a budget's end"] = await until(http, answers(200))
    assert await status(http[0], temperature=0) == 200
    called = len(upstream.asked)

    async def hit(client: httpx.AsyncClient) -> bool:
        await status(client, temperature=0)
        return True

    found["an answer, from the cache"] = await until(http, hit)
    assert len(upstream.asked) == called  # nobody called a model for it

    def served(model: str) -> Ask:
        async def ask(client: httpx.AsyncClient) -> bool:
            return await status(client, model=model) == 200

        return ask

    add_model(one, "newer", upstream.base_url)
    for replica in one.replicas:
        assert replica.process is not None
        replica.process.send_signal(signal.SIGHUP)
    found["a model in the file, after SIGHUP to each"] = await until(http, served("newer"))
    add_model(one, "newest", upstream.base_url)
    await told(one, "POST", "/admin/reload?everywhere=true", {})
    found["a model in the file, after one was told for all"] = await until(http, served("newest"))
    await asyncio.to_thread(one.admin, "DELETE", f"/admin/keys/{key}", at=here)
    found["a revoked key"] = await until(http, answers(401))
    return found


def add_model(one: Cluster, name: str, url: str) -> None:
    """To the file that all of them read."""
    path = one.folder / "spillway.yaml"
    path.write_text(path.read_text().replace("models:\n", "models:\n" + models(**{name: url}).partition("\n")[2]))


async def told(one: Cluster, method: str, path: str, body: object) -> dict[str, str]:
    """The first process is."""
    answered: dict[str, str] = await asyncio.to_thread(one.admin, method, path, body, at=one.replicas[0].url)
    return answered


async def until(http: list[httpx.AsyncClient], knows: Ask) -> list[float]:
    """Seconds until each of them does."""
    began = time.monotonic()

    async def one(client: httpx.AsyncClient) -> float:
        while not await knows(client):
            assert time.monotonic() < began + 60
            await asyncio.sleep(EVERY_S)
        return time.monotonic() - began

    return list(await asyncio.gather(*(one(client) for client in http)))
