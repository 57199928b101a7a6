"""Against vLLM itself, on the processor, serving the tiny mixture of experts: probe, metrics, cost, planner, cascade.

What it says and does is asserted where Spillway relies on it; what a cascade saves is measured.
"""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from router.capacity.memory import kv_tokens
from router.capacity.reading import read
from tests.conftest import REPOSITORY
from tests.gateway_process import spillway
from tests.gateway_server import written
from tests.tiny_moe.cascade import CONFIG, measured
from tests.tiny_moe.engine import OBSERVING, Engine, assert_billed, crowd, found_in_its_cache
from tests.tiny_moe.running import python_with_vllm, stronger, vllm, weights

pytestmark = [pytest.mark.evidence, pytest.mark.timeout(3600)]

PLACES, ASKED = 8, 48


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the model that it serves."""
    python, folder = python_with_vllm(), tmp_path_factory.mktemp("model")
    trained = weights(python, tmp_path_factory.mktemp("weights"))
    subprocess.run(
        [python, "-W", "ignore", "-m", "tests.tiny_moe.export", "--weights", str(trained), "--out", str(folder)],
        cwd=REPOSITORY, capture_output=True, check=True,
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def engine(exported: Path) -> Iterator[Engine]:
    """The engine while the tests here last."""
    with vllm(python_with_vllm(), exported, places=PLACES) as url:
        yield Engine(url=url)


def test_the_probe_finds_what_it_does(engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path, engine.models(), OBSERVING)
    told = spillway("backends", "probe", "tiny-moe", folder=tmp_path).stdout
    with capsys.disabled():
        print("\n" + told)
    assert told.startswith("tiny-moe, deployment 1: vllm, context 256, counts tokens\n")
    does = set(re.findall(r"^  yes +(\w+)", told, re.MULTILINE))
    assert does >= {"usage", "output_limit", "logprobs", "n", "json_schema", "stream_usage"}


def test_the_planner_knows_its_cache(engine: Engine, exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = re.findall(r"^vllm:cache_config_info\{(.*)\}", engine.metrics(), re.MULTILINE)
    told = dict(re.findall(r'(\w+)="([^"]*)"', line))
    block = int(told["block_size"])
    holds = int(told["num_gpu_blocks"]) * block
    planned = kv_tokens(read(exported / "config.json"), int(told["kv_cache_memory_bytes"]), 32, block=block)
    with capsys.disabled():
        print(f"\ncache: {holds} tokens by vLLM's account, {planned} by the planner's, in blocks of {block}")
    assert holds == planned == int(told.get("kv_cache_size_tokens", planned))


async def test_its_metrics_tell_its_load(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    found = await crowd(engine, ASKED, {"max_tokens": 120, "min_tokens": 100})
    with capsys.disabled():
        print(f"\n{found}")
    assert found.before.prompt_tokens is not None
    assert found.before.generated_tokens is not None
    assert found.after.prompt_tokens == found.before.prompt_tokens + found.counted("prompt_tokens")
    assert found.after.generated_tokens == found.before.generated_tokens + found.counted("completion_tokens")
    assert found.most["running"] == PLACES
    assert found.most["waiting"] > 0
    assert found.most["kv_use"] > 0
    assert (found.after.running, found.after.waiting) == (0, 0)


async def test_calls_and_idleness_are_the_gpus_bill(
    engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = await assert_billed(engine, tmp_path)
    with capsys.disabled():
        print(f"\n{told}")


async def test_no_tenant_finds_what_another_left_in_its_cache(
    engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same prompt, longer than a block of the cache, twice of one tenant and then of another."""

    def told() -> int:
        (hits,) = re.findall(r"^vllm:prefix_cache_hits_total\{.*\} (\S+)$", engine.metrics(), re.MULTILINE)
        return int(float(hits))

    more = await found_in_its_cache(engine, tmp_path, told)
    with capsys.disabled():
        print(f"\ntokens found in the prompt cache: {more} of one tenant, the same, another, the same")
    assert [each > 0 for each in more] == [False, True, False, True]


def test_a_cascade_from_it(engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with stronger() as strong:
        lines = measured(CONFIG.format(tiny=engine.url, strong=strong), tmp_path)
    with capsys.disabled():
        print("\n" + "\n".join(lines))
