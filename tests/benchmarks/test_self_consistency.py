"""What samples of one model that agree tell of its answer, with log-probabilities and without them.

Its answer is asked for at temperature 0, samples of it at 0.8, all through the gateway. Trained on one set of tasks,
measured on another.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scorer.dataset import LoggedQuery, write_log
from scorer.evaluation import auroc
from scorer.scoring import Scorer
from tests.acceptance.served import spillway
from tests.tiny_moe.cascade import CONFIG, OBSERVING, PRICES, N, asked, gateway, logged, plain
from tests.tiny_moe.running import python_with_torch, stronger, tiny_moe, weights
from tests.tiny_moe.tasks import different

pytestmark = [pytest.mark.evidence, pytest.mark.timeout(3600)]

SAMPLES = ("tiny-moe#2", "tiny-moe#3", "tiny-moe#4", "tiny-moe#5")


def test_what_samples_tell_of_an_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "prices.json").write_text(json.dumps(PRICES))
    python = python_with_torch()
    trained = weights(python, tmp_path / "weights")
    with (
        tiny_moe(python, trained) as tiny,
        stronger() as strong,
        gateway(tmp_path, CONFIG.format(tiny=tiny, strong=strong) + OBSERVING) as (url, key),
    ):
        train, test = (log_of(url, key, split, seed) for split, seed in (("train", 101), ("test", 102)))
    lines = [f"{len(train)} tasks to train on, {len(test)} others to measure on; AUROC beside so many samples:"]
    for name, strip in (("with", False), ("without", True)):
        kept = {
            split: [plain(query) for query in queries] if strip else queries
            for split, queries in (("train", train), ("test", test))
        }
        write_log(tmp_path / f"{name}.jsonl", kept["train"])
        spillway("train", "--data", f"{name}.jsonl", "--out", name, folder=tmp_path)
        scorer = Scorer.load(tmp_path / name)
        told = [f"{n}: {found(scorer, kept['test'], SAMPLES[:n]):.3f}" for n in (0, 1, 2, 4)]
        lines.append(f"{name} log-probabilities  {'   '.join(told)}")
    with capsys.disabled():
        print("\n" + "\n".join(lines))


def log_of(url: str, key: str, split: str, seed: int) -> list[LoggedQuery]:
    """A log of a set of tasks, with the samples under their names."""
    before = frozenset(task.question for task in different(101, N)) if split == "test" else frozenset()
    tasks = different(seed, N, before)
    first = asked(url, key, "tiny-moe", tasks, logprobs=True)
    columns = [first]
    for name in SAMPLES:
        sampled = asked(url, key, "tiny-moe", tasks, logprobs=True, temperature=0.8)
        columns.append(
            [replace(one, answer=replace(one.answer, answer=replace(one.answer.answer, model=name))) for one in sampled]
        )
    return [logged(split, row) for row in zip(*columns, strict=True)]


def found(scorer: Scorer, queries: Sequence[LoggedQuery], samples: Sequence[str]) -> float:
    """AUROC of the scores of the model's own answers."""
    y = np.array([query.answers["tiny-moe"].quality for query in queries])
    value = auroc(scorer.score_log(queries, "tiny-moe", samples), y)
    assert value is not None
    return value
