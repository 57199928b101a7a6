"""Against vLLM itself, on the processor, serving the tiny mixture of experts: probe, metrics, cost, planner, cascade.

What it says and does is asserted where Spillway relies on it; what a cascade saves is measured.
"""

import asyncio
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import httpx
import pytest

from gateway.experts.store import ProbeStore
from gateway.keys import KeyStore
from gateway.ledger.idle import IdleBooks
from gateway.ledger.tables import attempts, entries, settlements
from gateway.ledger.verify import verify
from router.backends.load import Load, load_of
from router.capacity.memory import kv_tokens
from router.capacity.reading import read
from tests.conftest import REPOSITORY
from tests.databases import rows_of
from tests.gateway_process import spillway
from tests.gateway_server import Running, serving, written
from tests.tiny_moe.cascade import CONFIG, measured
from tests.tiny_moe.running import python_with_vllm, stronger, vllm, weights
from tests.tiny_moe.tasks import different

pytestmark = [pytest.mark.evidence, pytest.mark.timeout(3600)]

PLACES, ASKED = 8, 48
HOUR_US = 3_600_000_000
GPU_NANOUSD = 2_345_678_901  # an hour
OBSERVING = "policies: [{name: default, safe_model: tiny-moe}]\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """url : its base URL.   folder : of the model that it serves."""

    url: str
    folder: Path

    def metrics(self) -> str:
        with urlopen(self.url.removesuffix("/v1") + "/metrics", timeout=10) as answered:
            return str(answered.read().decode())

    def load(self) -> Load:
        found = load_of(self.metrics(), "tiny-moe")
        assert found is not None
        return found

    def models(self, more: str = "") -> str:
        """The models section of a configuration."""
        price = "price: {input_usd_per_mtok: 0.1, output_usd_per_mtok: 0.4}"
        fields = f"backend: openai_compatible, base_url: '{self.url}', {price}, max_output_tokens: 40"
        return f"cache: {{enabled: false}}\nmodels: [{{name: tiny-moe, {fields}{more}}}]\n"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The engine while the tests here last."""
    python, folder = python_with_vllm(), tmp_path_factory.mktemp("model")
    trained = weights(python, tmp_path_factory.mktemp("weights"))
    subprocess.run(
        [python, "-W", "ignore", "-m", "tests.tiny_moe.export", "--weights", str(trained), "--out", str(folder)],
        cwd=REPOSITORY, capture_output=True, check=True,
    )  # fmt: skip
    with vllm(python, folder, places=PLACES) as url:
        yield Engine(url=url, folder=folder)


def test_the_probe_finds_what_it_does(engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path, engine.models(), OBSERVING)
    told = spillway("backends", "probe", "tiny-moe", folder=tmp_path).stdout
    with capsys.disabled():
        print("\n" + told)
    assert told.startswith("tiny-moe, deployment 1: vllm, context 256, counts tokens\n")
    does = set(re.findall(r"^  yes +(\w+)", told, re.MULTILINE))
    assert does >= {"usage", "output_limit", "logprobs", "n", "json_schema", "stream_usage"}


def test_the_planner_knows_its_cache(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = re.findall(r"^vllm:cache_config_info\{(.*)\}", engine.metrics(), re.MULTILINE)
    told = dict(re.findall(r'(\w+)="([^"]*)"', line))
    block = int(told["block_size"])
    holds = int(told["num_gpu_blocks"]) * block
    planned = kv_tokens(read(engine.folder / "config.json"), int(told["kv_cache_memory_bytes"]), 32, block=block)
    with capsys.disabled():
        print(f"\ncache: {holds} tokens by vLLM's account, {planned} by the planner's, in blocks of {block}")
    assert holds == planned == int(told.get("kv_cache_size_tokens", planned))


async def test_its_metrics_tell_its_load(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    before = engine.load()
    seen: list[Load] = []
    async with httpx.AsyncClient(base_url=engine.url, timeout=60) as http:
        asking = [asyncio.create_task(counted(http, n)) for n in range(ASKED)]
        while not all(task.done() for task in asking):
            seen.append(await asyncio.to_thread(engine.load))
            await asyncio.sleep(0.02)
    counts = [task.result() for task in asking]
    await asyncio.sleep(1)  # it tells a finished request with its next look
    after = engine.load()
    most = {name: max(getattr(load, name) or 0 for load in seen) for name in ("running", "waiting", "kv_use")}
    with capsys.disabled():
        print(
            f"\n{ASKED} requests at once: at most {most}; idle again: {after.running} running, {after.waiting} waiting"
        )
    assert before.prompt_tokens is not None
    assert before.generated_tokens is not None
    assert after.prompt_tokens == before.prompt_tokens + sum(prompt for prompt, _ in counts)
    assert after.generated_tokens == before.generated_tokens + sum(made for _, made in counts)
    assert most["running"] == PLACES
    assert most["waiting"] > 0
    assert most["kv_use"] > 0
    assert (after.running, after.waiting) == (0, 0)


async def counted(http: httpx.AsyncClient, n: int) -> tuple[int, int]:
    """One request; its counts."""
    body = {"model": "tiny-moe", "messages": [{"role": "user", "content": f"add: {n}+7"}]}
    answered = await http.post("/chat/completions", json=body | {"max_tokens": 120, "min_tokens": 100})
    usage = answered.raise_for_status().json()["usage"]
    return usage["prompt_tokens"], usage["completion_tokens"]


async def test_calls_and_idleness_are_the_gpus_bill(
    engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ", provider: own, probe: true, load: {every_s: 0.25}"
    async with serving(tmp_path, engine.models(more), OBSERVING) as gateway:
        for task in different(7, 40):
            messages: Any = [{"role": "user", "content": task.question}]
            asked = {"model": "auto", "messages": messages, "temperature": 0}
            (await gateway.http.post("/v1/chat/completions", json=asked)).raise_for_status()
        await settled(gateway)
        books = IdleBooks(gateway.database, lambda: {"own": GPU_NANOUSD})
        hour = (time.time_ns() // 1000) // HOUR_US * HOUR_US
        books._begun_us = hour - HOUR_US  # if the hour began within the test, the one before counts too
        booked = await books.book(hour + HOUR_US + HOUR_US // 2)
        found: dict[str, int] = {}
        for row in await rows_of(gateway.database, entries):
            found[row["debit"]] = found.get(row["debit"], 0) + row["amount_nanousd"]
            found[row["credit"]] = found.get(row["credit"], 0) - row["amount_nanousd"]
        sound = (await verify(gateway.database)).is_sound
    charged = {name: amount for name, amount in found.items() if name != "provider"}
    with capsys.disabled():
        print(f"\n{booked} hours at {GPU_NANOUSD} nano-USD: {charged}, together {-found['provider']}")
    assert -found["provider"] == booked * GPU_NANOUSD == sum(charged.values())
    assert sound


async def settled(gateway: Running) -> None:
    """Return once every call is."""
    async with asyncio.timeout(60):
        while len(await rows_of(gateway.database, settlements)) < len(  # noqa: ASYNC110
            await rows_of(gateway.database, attempts)
        ):
            await asyncio.sleep(0.05)


async def test_no_tenant_finds_what_another_left_in_its_cache(
    engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same prompt, longer than a block of the cache, twice of one tenant and then of another."""
    body = {"model": "auto", "messages": [{"role": "user", "content": "sort: abc " * 20}], "max_tokens": 4}

    def found() -> int:
        (told,) = re.findall(r"^vllm:prefix_cache_hits_total\{.*\} (\S+)$", engine.metrics(), re.MULTILINE)
        return int(float(told))

    async with serving(tmp_path, engine.models(", probe: true"), OBSERVING) as gateway:
        _, other = await KeyStore(gateway.database).create("another", tenant_id="another")
        async with asyncio.timeout(60):
            while not await ProbeStore(gateway.database).newest():  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await asyncio.sleep(1)  # it reads what it found
        hits = [found()]
        for key in (gateway.key, gateway.key, other, other):
            headers = {"authorization": f"Bearer {key}"}
            (await gateway.http.post("/v1/chat/completions", json=body, headers=headers)).raise_for_status()
            await asyncio.sleep(0.5)
            hits.append(found())
    more = [after - before for before, after in pairwise(hits)]
    with capsys.disabled():
        print(f"\ntokens found in the prompt cache: {more} of one tenant, the same, another, the same")
    assert [each > 0 for each in more] == [False, True, False, True]


def test_a_cascade_from_it(engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with stronger() as strong:
        lines = measured(CONFIG.format(tiny=engine.url, strong=strong), tmp_path)
    with capsys.disabled():
        print("\n" + "\n".join(lines))
