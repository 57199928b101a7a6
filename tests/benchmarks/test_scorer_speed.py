"""How long scoring takes: CPU time, so that a busy machine disturbs it less.

Prints a table. Measured, not asserted: what is fast depends on the machine. No embeddings are involved: there are none.
How training grows is in ``test_growth``.
"""

import gc
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from scorer.dataset import LoggedQuery, read_log
from scorer.registry import Artifact
from scorer.scoring import Scorer
from scorer.training import train

pytestmark = [pytest.mark.evidence, pytest.mark.data, pytest.mark.timeout(3600)]

TRAINED_ON, ASKED = 1000, 800


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
    gc.freeze()  # the log that is read from here, which no gateway holds
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
