"""An engine that serves the tiny mixture of experts, and what is asked of any such: load, bill, tenants apart.

Knows how Spillway is configured for one, and no engine's own words.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import httpx

from gateway.experts.store import ProbeStore
from gateway.keys import KeyStore
from gateway.ledger.idle import IdleBooks
from gateway.ledger.tables import attempts, entries, settlements
from gateway.ledger.verify import verify
from router.backends.load import Load, load_of
from tests.databases import rows_of
from tests.gateway_server import Running, serving
from tests.tiny_moe.tasks import different

OBSERVING = "policies: [{name: default, safe_model: tiny-moe}]\n"
GPU_NANOUSD = 2_345_678_901  # an hour
_HOUR_US = 3_600_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """url : its base URL."""

    url: str

    def metrics(self) -> str:
        """Its own, as text."""
        with urlopen(self.url.removesuffix("/v1") + "/metrics", timeout=10) as answered:
            return str(answered.read().decode())

    def load(self) -> Load:
        """What Spillway reads in them."""
        found = load_of(self.metrics(), "tiny-moe")
        assert found is not None
        return found

    def models(self, more: str = "") -> str:
        """The models section of a configuration."""
        price = "price: {input_usd_per_mtok: 0.1, output_usd_per_mtok: 0.4}"
        fields = f"backend: openai_compatible, base_url: '{self.url}', {price}, max_output_tokens: 40"
        return f"cache: {{enabled: false}}\nmodels: [{{name: tiny-moe, {fields}{more}}}]\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """Many requests at once, as the engine told of them.

    usages : what each answer says that it took.   most : of each fact of its load, while they were under way.
    """

    before: Load
    after: Load
    usages: Sequence[Mapping[str, Any]]
    most: Mapping[str, float]

    def counted(self, name: str) -> int:
        """The sum over all answers."""
        return sum(usage[name] for usage in self.usages)

    def __str__(self) -> str:
        return (
            f"{len(self.usages)} requests at once: at most {dict(self.most)}; "
            f"idle again: {self.after.running} running, {self.after.waiting} waiting"
        )


async def crowd(engine: Engine, n: int, fields: Mapping[str, Any]) -> Crowd:
    """So many requests with these fields, each a question of its own, straight to the engine."""

    async def one(http: httpx.AsyncClient, k: int) -> Mapping[str, Any]:
        body = {"model": "tiny-moe", "messages": [{"role": "user", "content": f"add: {k}+7"}], **fields}
        answered = await http.post("/chat/completions", json=body)
        usage: Mapping[str, Any] = answered.raise_for_status().json()["usage"]
        return usage

    before, seen = engine.load(), []
    async with httpx.AsyncClient(base_url=engine.url, timeout=60) as http:
        asking = [asyncio.create_task(one(http, k)) for k in range(n)]
        while not all(task.done() for task in asking):
            seen.append(await asyncio.to_thread(engine.load))
            await asyncio.sleep(0.02)
    usages = [task.result() for task in asking]
    await asyncio.sleep(1)  # it tells a finished request with its next look
    most = {name: max(getattr(load, name) or 0 for load in seen) for name in ("running", "waiting", "kv_use")}
    return Crowd(before=before, after=engine.load(), usages=usages, most=most)


async def assert_billed(engine: Engine, folder: Path) -> str:
    """Calls, probes and idleness together are, in a sound ledger, what the GPU costs in those hours; returns them."""
    more = ", provider: own, probe: true, load: {every_s: 0.25}"
    async with serving(folder, engine.models(more), OBSERVING) as gateway:
        for task in different(7, 40):
            messages: Any = [{"role": "user", "content": task.question}]
            asked = {"model": "auto", "messages": messages, "temperature": 0}
            (await gateway.http.post("/v1/chat/completions", json=asked)).raise_for_status()
        await _settled(gateway)
        books = IdleBooks(gateway.database, lambda: {"own": GPU_NANOUSD})
        hour = (time.time_ns() // 1000) // _HOUR_US * _HOUR_US
        books._begun_us = hour - _HOUR_US  # if the hour began within the test, the one before counts too
        booked = await books.book(hour + _HOUR_US + _HOUR_US // 2)
        found: dict[str, int] = {}
        for row in await rows_of(gateway.database, entries):
            found[row["debit"]] = found.get(row["debit"], 0) + row["amount_nanousd"]
            found[row["credit"]] = found.get(row["credit"], 0) - row["amount_nanousd"]
        sound = (await verify(gateway.database)).is_sound
    charged = {name: amount for name, amount in found.items() if name != "provider"}
    assert -found["provider"] == booked * GPU_NANOUSD == sum(charged.values())
    assert sound
    return f"{booked} hours at {GPU_NANOUSD} nano-USD: {charged}, together {-found['provider']}"


async def _settled(gateway: Running) -> None:
    """Return once every call is."""
    async with asyncio.timeout(60):
        while len(await rows_of(gateway.database, settlements)) < len(  # noqa: ASYNC110
            await rows_of(gateway.database, attempts)
        ):
            await asyncio.sleep(0.05)


async def found_in_its_cache(engine: Engine, folder: Path, told: Callable[[], int]) -> list[int]:
    """Tokens of a prompt that it still knew: asked by one tenant, the same, another, the same.

    told : how many it has known since it started.
    """
    body = {"model": "auto", "messages": [{"role": "user", "content": "sort: abc " * 20}], "max_tokens": 4}
    async with serving(folder, engine.models(", probe: true"), OBSERVING) as gateway:
        _, other = await KeyStore(gateway.database).create("another", tenant_id="another")
        async with asyncio.timeout(60):
            while not await ProbeStore(gateway.database).newest():  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await asyncio.sleep(1)  # it reads what it found
        hits = [told()]
        for key in (gateway.key, gateway.key, other, other):
            headers = {"authorization": f"Bearer {key}"}
            (await gateway.http.post("/v1/chat/completions", json=body, headers=headers)).raise_for_status()
            await asyncio.sleep(0.5)
            hits.append(told())
    return [after - before for before, after in pairwise(hits)]
