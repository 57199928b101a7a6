"""How long scoring and training take, and how much memory: CPU time, so that a busy machine disturbs it less.

Prints tables. Measured, not asserted: what is fast depends on the machine. No embeddings are involved: there are none.
"""

import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from scorer.dataset import LoggedQuery, read_log
from scorer.registry import Artifact
from scorer.scoring import Scorer
from scorer.training import train
from tests.unit.scorer import synthetic

pytestmark = [pytest.mark.evidence, pytest.mark.data, pytest.mark.timeout(3600)]

TRAINED_ON, ASKED = 1000, 800
SKILLS = {f"model-{index:02}": 0.5 + 0.025 * index for index in range(16)}


def test_scoring_one_answer(replay_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every query and every answer is new to the scorer, as in a request: reading them is part of the time."""
    queries = read_log([replay_data / "mmlu_pro.jsonl.gz"], split="train").queries
    scorer = Scorer(Artifact(version="speed", trained=train(queries[:TRAINED_ON])))
    first, second = scorer.columns[:2]

    calls: dict[str, Callable[[LoggedQuery], object]] = {
        "expect": lambda q: scorer.expect(q.query),
        "score, alone": lambda q: scorer.score(q.query, q.answers[first].answer),
        "score, beside another": lambda q: scorer.score(q.query, q.answers[second].answer, [q.answers[first].answer]),
        "believe, two answers": lambda q: scorer.believe(q.query, [q.answers[m].answer for m in (first, second)]),
    }
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for query in queries[TRAINED_ON : TRAINED_ON + ASKED]:
        for name, call in calls.items():
            start = time.process_time()
            call(query)
            taken[name].append(time.process_time() - start)
    with capsys.disabled():
        print("\n| ms of CPU, one request after the other | median | p99 |\n| --- | --- | --- |")
        for name, seconds in taken.items():
            median, most = np.quantile(seconds, (0.5, 0.99)) * 1e3
            print(f"| {name} | {median:.2f} | {most:.2f} |")


@pytest.mark.parametrize(("n_queries", "n_models"), [(350, 4), (1250, 4), (5000, 4), (1250, 16)])
def test_training(n_queries: int, n_models: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Growth with rows and models on made-up sums; 20,000 rows are the third and the fourth line."""
    queries = synthetic.log(n_queries, skills=dict(list(SKILLS.items())[:n_models]))
    start, cpu = time.perf_counter(), time.process_time()
    train(queries)
    wall, spent = time.perf_counter() - start, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with capsys.disabled():
        print(
            f"\n{n_queries * n_models:,} rows ({n_queries:,} queries, {n_models} models): "
            f"{wall:.0f} s, {spent:.0f} s of CPU, peak memory so far {peak:,.0f} MB"
        )
