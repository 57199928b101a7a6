"""Against llama.cpp's own server, on the processor, serving the tiny mixture of experts: probe, metrics, cost, cascade.

What it says and does is asserted where Spillway relies on it; what a cascade saves is measured.
"""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import REPOSITORY
from tests.gateway_process import spillway
from tests.gateway_server import serving, written
from tests.tiny_moe.cascade import CONFIG, measured
from tests.tiny_moe.engine import OBSERVING, Engine, assert_billed, crowd, found_in_its_cache
from tests.tiny_moe.running import llama_cpp, llama_server, python_with_torch, stronger, tiny_moe, weights
from tests.tiny_moe.tasks import different

pytestmark = [pytest.mark.evidence, pytest.mark.timeout(3600)]

PLACES, ASKED, COMPARED = 8, 48, 100


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the model's weights."""
    llama_server()
    return weights(python_with_torch(), tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def engine(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The engine while the tests here last."""
    program, python, file = llama_server(), python_with_torch(), tmp_path_factory.mktemp("model") / "tiny-moe.gguf"
    subprocess.run(
        [python, "-W", "ignore", "-m", "tests.tiny_moe.export_gguf", "--weights", str(trained), "--out", str(file)],
        cwd=REPOSITORY, capture_output=True, check=True,
    )  # fmt: skip
    with llama_cpp(program, file, places=PLACES) as url:
        yield Engine(url=url)


def test_it_answers_as_the_model_does(engine: Engine, trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same greedy answers as of the weights that the file was made of."""
    with tiny_moe(python_with_torch(), trained) as own:
        said = [
            [answer(url, task.question) for task in different(103, COMPARED)]
            for url in (engine.url, own)
        ]  # fmt: skip
    same = sum(first == second for first, second in zip(*said, strict=True))
    with capsys.disabled():
        print(f"\n{same} of {COMPARED} greedy answers are those of the weights")
    assert same > 0.98 * COMPARED


def answer(url: str, question: str) -> str:
    """What is said to it."""
    asked: Any = {"model": "tiny-moe", "messages": [{"role": "user", "content": question}]}
    answered = httpx.post(f"{url}/chat/completions", json=asked | {"temperature": 0, "max_tokens": 40}, timeout=60)
    return str(answered.raise_for_status().json()["choices"][0]["message"]["content"])


def test_the_probe_finds_what_it_does(engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path, engine.models(), OBSERVING)
    told = spillway("backends", "probe", "tiny-moe", folder=tmp_path).stdout
    with capsys.disabled():
        print("\n" + told)
    assert told.startswith("tiny-moe, deployment 1: llama.cpp, context 256, counts tokens\n")
    does = set(re.findall(r"^  yes +(\w+)", told, re.MULTILINE))
    assert does >= {"usage", "output_limit", "logprobs", "n", "json_schema", "stream_usage"}
    assert re.findall(r"^  no +(\w+)", told, re.MULTILINE) == ["tools"], "of which its chat template knows nothing"


async def test_its_metrics_tell_its_load(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    found = await crowd(engine, ASKED, {"max_tokens": 100, "ignore_eos": True})
    known = sum(usage["prompt_tokens_details"]["cached_tokens"] for usage in found.usages)
    with capsys.disabled():
        print(f"\n{found}; {known} of {found.counted('prompt_tokens')} prompt tokens were in its cache")
    assert found.before.prompt_tokens is not None
    assert found.before.generated_tokens is not None
    assert found.after.prompt_tokens == found.before.prompt_tokens + found.counted("prompt_tokens")
    assert found.after.generated_tokens == found.before.generated_tokens + found.counted("completion_tokens")
    assert found.most["running"] == PLACES
    assert found.most["waiting"] > 0
    assert found.after.kv_use is None, "it tells none: each of its places has memory of its own"
    assert (found.after.running, found.after.waiting) == (0, 0)


async def test_calls_and_idleness_are_the_gpus_bill(
    engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = await assert_billed(engine, tmp_path)
    with capsys.disabled():
        print(f"\n{told}")


async def test_what_the_scorer_wants_to_see_costs_nobody_an_answer(engine: Engine, tmp_path: Path) -> None:
    """It refuses log-probabilities of a stream with tools, and tells none where no alternatives are asked for."""
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
    body: dict[str, Any] = {"model": "auto", "messages": [{"role": "user", "content": "last: abc"}], "max_tokens": 8}
    async with serving(tmp_path, engine.models(", ask_logprobs: true"), OBSERVING) as gateway:
        streamed = await gateway.http.post("/v1/chat/completions", json=body | {"stream": True, "tools": [tool]})
        weighed = await gateway.http.post(
            "/v1/chat/completions", json=body | {"logprobs": True, "top_logprobs": 0}
        )  # fmt: skip
    assert streamed.raise_for_status().text.endswith("data: [DONE]\n\n")
    assert weighed.raise_for_status().json()["choices"][0]["logprobs"]["content"]


async def test_its_cache_knows_no_tenants(engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It has no word by which tenants are kept apart, so what one asked another finds."""

    def told() -> int:
        (hits,) = re.findall(r"^llamacpp:prompt_tokens_cached_total (\S+)$", engine.metrics(), re.MULTILINE)
        return int(float(hits))

    more = await found_in_its_cache(engine, tmp_path, told)
    with capsys.disabled():
        print(f"\ntokens found in the prompt cache: {more} of one tenant, the same, another, the same")
    assert [each > 0 for each in more[1:]] == [True, True, True]


def test_a_cascade_from_it(engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with stronger() as strong:
        lines = measured(CONFIG.format(tiny=engine.url, strong=strong), tmp_path)
    with capsys.disabled():
        print("\n" + "\n".join(lines))
