"""Labels that come later meet their answers, the strongest source counts, and nothing else of a folder changes."""

import json
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from router.errors import StrategyError
from router.offline.labelling import label_folder
from router.offline.running import Here
from scorer.partitioned.layout import Manifest
from scorer.partitioned.reading import read_folder
from tests.fakelog import fake_log
from tests.partitioned import scored_folder


def labels_in(path: Path, rows: list[tuple[str, str, str, float]]) -> Path:
    lines = [json.dumps(dict(zip(("query_id", "model", "source", "quality"), row, strict=True))) for row in rows]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_labels_meet_their_answers_and_the_strongest_counts(tmp_path: Path) -> None:
    queries = fake_log(30)
    folder = scored_folder(tmp_path / "folder", queries)
    rows = [("q3", "small", "check", 0.25), ("q3", "small", "review", 0.5), ("q4", "large", "judge", 0.125)]
    labels = labels_in(tmp_path / "labels.jsonl", [*rows, ("q999", "small", "check", 1.0)])
    manifest, given, met = label_folder(folder, tmp_path / "out", labels, Here())
    assert (given, met) == (4, 3)
    assert manifest == Manifest.load(tmp_path / "out")
    assert replace(manifest, parts=()) == replace(Manifest.load(folder), parts=())
    found = {query.query.id: query for query in read_folder(tmp_path / "out")}
    assert found["q3"].answers["small"].qualities == {"check": 0.25, "review": 0.5}
    assert found["q3"].labels["small"] == 0.25
    assert found["q4"].answers["large"].qualities == {"judge": 0.125}
    untouched = [query for query in queries if query.query.id not in ("q3", "q4")]
    assert all(found[query.query.id] == query for query in untouched)
    before, after = (f"read_parquet('{where}/**/*.parquet')" for where in (folder, tmp_path / "out"))
    kept = "query, hash, model, cost_nanousd, asked, answered, score, score_beside_1"
    assert duckdb.connect().execute(f"SELECT {kept} FROM {before} EXCEPT SELECT {kept} FROM {after}").fetchall() == []
    nano = f"SELECT quality_nano FROM {after} WHERE query_id = 'q3' AND model = 'small'"
    assert duckdb.connect().execute(nano).fetchall() == [(250_000_000,)]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("q1", "small", "hearsay", 1.0)], "source of 1 labels must be one of check, feedback"),
        ([("q1", "small", "check", 1.5)], "quality of 1 labels must be from 0 to 1"),
        ([("q1", "small", "check", 1.0), ("q1", "small", "check", 0.0)], "1 labels are a second one"),
    ],
)
def test_labels_that_cannot_be_are_refused(tmp_path: Path, rows: list[tuple[str, str, str, float]], said: str) -> None:
    folder = scored_folder(tmp_path / "folder", fake_log(5))
    with pytest.raises(StrategyError, match=said):
        label_folder(folder, tmp_path / "out", labels_in(tmp_path / "labels.jsonl", rows), Here())
    (tmp_path / "labels.csv").write_text("a,b\n1,2\n")
    with pytest.raises(StrategyError, match="must have query_id, model, source and quality"):
        label_folder(folder, tmp_path / "out", tmp_path / "labels.csv", Here())
    assert not (tmp_path / "out").exists()
