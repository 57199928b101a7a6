"""Sources of labels: the strongest counts, none is mixed in unawares, and none teaches the scorer to believe itself."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from scorer.cli import app
from scorer.dataset import LoggedQuery, read_log, write_log
from scorer.errors import MixedLabels
from scorer.labels import by_sources
from scorer.logline import line_of
from tests.unit.scorer import synthetic


def labelled(path: Path, *qualities: Mapping[str, Any] | float) -> tuple[LoggedQuery, ...]:
    """A log whose queries have these qualities, by turns, for each of their answers."""
    rows = [line_of(query) for query in synthetic.log(20)]
    for index, row in enumerate(rows):
        for answer in row["answers"].values():
            quality = qualities[index % len(qualities)]
            answer["quality"] = quality if not isinstance(quality, float) else answer["quality"]
    path.write_text("\n".join(map(json.dumps, rows)))
    return read_log([path]).queries


def test_of_several_sources_the_strongest_wanted_one_counts(tmp_path: Path) -> None:
    queries = labelled(tmp_path / "log", {"judge": [0.9, 0.5], "check": 1, "feedback": 0.0})
    for wanted, label in ((["judge", "feedback"], 0.0), (["judge"], 0.7), (["judge", "check"], 1.0)):
        chosen, counts = by_sources(queries, wanted)
        assert [value for query in chosen for value in query.labels.values()] == pytest.approx([label] * 60)
        assert sum(counts.values()) == 60
    assert queries[0].answers["small"].quality == 1.0


def test_answers_without_a_wanted_label_stay_without_one(tmp_path: Path) -> None:
    queries = labelled(tmp_path / "log", {"check": 1.0}, {"feedback": 0.0})
    chosen, counts = by_sources(queries, ["check"])
    assert counts == {"check": 30}
    assert not chosen[1].labels
    assert chosen[1].answers == queries[1].answers


def test_bare_numbers_are_a_source_without_a_name(tmp_path: Path) -> None:
    queries = labelled(tmp_path / "log", 1.0)
    assert by_sources(queries) == (queries, {"unnamed": 60})
    with pytest.raises(MixedLabels, match=r"different sources \(check, unnamed\)"):
        by_sources(labelled(tmp_path / "mixed", 1.0, {"check": 1.0}))


@pytest.mark.parametrize(
    ("wanted", "words"),
    [(["agreement"], "agreement is what answers are judged by"), (["gossip"], "must be of check, feedback")],
)
def test_what_cannot_be_learned_from_is_refused(tmp_path: Path, wanted: list[str], words: str) -> None:
    queries = labelled(tmp_path / "log", {"agreement": 1.0})
    with pytest.raises(MixedLabels, match=words):
        by_sources(queries, wanted)
    with pytest.raises(MixedLabels, match="agreement"):
        by_sources(queries)


def test_labels_by_source_are_written_and_read_back(tmp_path: Path) -> None:
    queries = labelled(tmp_path / "log", {"judge": [0.5, 0.5], "review": 0.25})
    write_log(tmp_path / "again", queries)
    assert read_log([tmp_path / "again"]).queries == queries


@pytest.mark.parametrize(
    ("quality", "words"),
    [
        ({"judge": 0.9}, "quality.judge must be two numbers from 0 to 1: with the answer shown first, and shown last"),
        ({"judge": [0.9]}, "quality.judge must be two numbers"),
        ({"check": 2}, "quality.check must be a number from 0 to 1, not 2"),
        ({"gossip": 1}, "quality.gossip must be left out, or be called one of check, feedback"),
        ({}, "quality must be an object with one entry"),
    ],
)
def test_a_wrong_label_is_named(tmp_path: Path, quality: dict[str, Any], words: str) -> None:
    with pytest.raises(Exception, match=words):
        labelled(tmp_path / "log", quality)


def test_the_command_wants_to_know_which_sources_count(tmp_path: Path) -> None:
    labelled(tmp_path / "log", 1.0, {"judge": [1.0, 1.0]})
    arguments = ["--data", str(tmp_path / "log"), "--out", str(tmp_path / "s"), "--model", "logistic"]
    refused = CliRunner().invoke(app, arguments)
    assert refused.exit_code == 2
    assert "say which ones count, e.g. --labels" in refused.stderr
    trained = CliRunner().invoke(app, [*arguments, "--labels", "unnamed, judge"])
    assert trained.exit_code == 0, trained.output
    assert "labels: 30 unnamed, 30 judge" in trained.output
