"""The main job on real input: a scorer and a strategy from real logged answers, served to the real client.

What the gateway serves, what its ledger says and what a replay of the same queries says must be one and the same.
"""

import gzip
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from tests.acceptance.served import serving, spillway

pytestmark = [pytest.mark.data, pytest.mark.timeout(900)]

LOG = "zeroeval_gsm.jsonl.gz"
TRAIN = ("--data", LOG, "--split", "train")


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """One query as the client saw it."""

    logged: dict[str, Any]
    model: str
    text: str
    decision: dict[str, Any]


@pytest.fixture(scope="module")
def folder(replay_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder: a log, prices, a trained scorer, an optimised strategy, a configuration."""
    folder = tmp_path_factory.mktemp("user")
    for name in (LOG, "prices.json"):
        (folder / name).symlink_to(replay_data / name)
    spillway("train", *TRAIN, "--out", "scorer", folder=folder)
    chosen = ("--match-best", "--out", "strategy.json")
    spillway("optimize", "--scorer", "scorer", *TRAIN, "--prices", "prices.json", *chosen, folder=folder)
    strategy = json.loads((folder / "strategy.json").read_text())
    names = next(read(folder, "dev"))["answers"]
    models = "".join(f"  - {{name: {name}, backend: recorded, log: [{LOG}]}}\n" for name in names)
    parts = "scorer: scorer, strategy: strategy.json, unlike_rate: 0"
    policy = f"{{name: default, safe_model: {strategy['safe_model']}, {parts}}}"
    (folder / "spillway.yaml").write_text(f"prices: prices.json\nmodels:\n{models}policies:\n  - {policy}\n")
    return folder


@pytest.fixture(scope="module")
def served(folder: Path) -> list[Served]:
    """Every query of the dev split, asked once: by turns as a whole answer and as a stream."""
    key = spillway("keys", "create", "acceptance", folder=folder).stdout.strip()
    with serving(folder / "spillway.yaml") as address, OpenAI(base_url=f"{address}/v1", api_key=key) as client:
        asked = [
            ask(client, logged, streamed)
            for logged, streamed in zip(read(folder, "dev"), cycle([False, True]), strict=False)
        ]
    assert len(asked) >= 200
    return asked


def ask(client: OpenAI, logged: dict[str, Any], streamed: bool) -> Served:
    """One query through the real client."""
    create = client.chat.completions.with_raw_response.create
    if not streamed:
        raw = create(model="auto", messages=logged["messages"])
        answer = raw.parse()
        model, text, usage = answer.model, answer.choices[0].message.content, answer.usage
    else:
        raw_stream = create(
            model="auto", messages=logged["messages"], stream=True, stream_options={"include_usage": True}
        )
        raw, chunks = raw_stream, list(raw_stream.parse())  # type: ignore[assignment]  # both carry the headers
        model = chunks[0].model
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        usage = chunks[-1].usage
        assert {chunk.model for chunk in chunks} == {model}
        assert len({chunk.id for chunk in chunks}) == 1
    assert usage is not None
    assert usage.completion_tokens == logged["answers"][model]["completion_tokens"]
    identifier = raw.headers["x-spillway-decision-id"]
    decision = client.get(f"/decisions/{identifier}", cast_to=object)
    assert isinstance(decision, dict)
    return Served(logged=logged, model=model, text=text or "", decision=decision)


def read(folder: Path, split: str) -> Iterator[dict[str, Any]]:
    with gzip.open(folder / LOG, "rt") as lines:
        yield from (logged for logged in map(json.loads, lines) if logged["split"] == split)


def cost_nanousd(folder: Path, logged: dict[str, Any], model: str) -> int:
    """Recomputed from the log and the price list alone."""
    rates = json.loads((folder / "prices.json").read_text(), parse_float=Decimal)["models"][model]
    answer = logged["answers"][model]
    return sum(
        int((answer[f"{part}_tokens"] * Decimal(rates[meter]) * 1000).to_integral_value(ROUND_HALF_EVEN))
        for part, meter in (("prompt", "input"), ("completion", "output"))
    )


def test_the_client_gets_the_chosen_model_s_own_answer(served: list[Served]) -> None:
    for one in served:
        assert one.text == one.logged["answers"][one.model]["text"]


def test_the_ledger_equals_the_recomputed_costs_to_the_nano_dollar(folder: Path, served: list[Served]) -> None:
    recomputed = sum(
        cost_nanousd(folder, one.logged, attempt["model"]) for one in served for attempt in one.decision["attempts"]
    )
    with sqlite3.connect(folder / "spillway.db") as ledger:
        (total,) = ledger.execute("SELECT sum(amount_nanousd) FROM line_items").fetchone()
        (attempts,) = ledger.execute("SELECT count(*) FROM attempts").fetchone()
    assert total == recomputed
    assert attempts == sum(len(one.decision["attempts"]) for one in served)


def test_serving_and_replay_agree(folder: Path, served: list[Served]) -> None:
    replayed = json.loads(
        spillway(
            *("replay", "--strategy", "strategy.json", "--scorer", "scorer", "--data", LOG, "--split", "dev"),
            *("--prices", "prices.json", "--json"),
            folder=folder,
        ).stdout
    )
    quality = sum(one.logged["answers"][one.model]["quality"] for one in served) / len(served)
    cost = sum(cost_nanousd(folder, one.logged, a["model"]) for one in served for a in one.decision["attempts"])
    assert replayed["n_queries"] == len(served)
    assert replayed["quality"] == pytest.approx(quality, abs=1e-12)
    assert replayed["cost_usd_per_1k"] == pytest.approx(cost / len(served) / 1e6, rel=1e-12)
    for place, stage in enumerate(replayed["stages"]):
        called = [a for one in served for a in one.decision["attempts"] if a["model"] == stage["model"]]
        assert stage["calls"] == len(called), f"stage {place}"
        assert stage["accepted"] == sum(one.model == stage["model"] for one in served)
