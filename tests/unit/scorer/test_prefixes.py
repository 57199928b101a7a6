"""Beginnings of answers: cut, learned from, judged alike live and in a log, and kept in an artifact."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scorer import registry
from scorer.beginnings import beginning
from scorer.dataset import LoggedQuery
from scorer.errors import TooLittleData
from scorer.scoring import Scorer
from scorer.training import train
from tests.unit.scorer import synthetic


def longer(queries: tuple[LoggedQuery, ...]) -> tuple[LoggedQuery, ...]:
    """Answers that go on for long after their end."""
    return tuple(
        replace(
            query,
            answers={
                model: replace(entry, answer=replace(entry.answer, text=entry.answer.text + " So it is." * 20))
                for model, entry in query.answers.items()
            },
        )
        for query in queries
    )


@pytest.fixture(scope="module")
def log() -> tuple[LoggedQuery, ...]:
    return longer(synthetic.log(120))


@pytest.fixture(scope="module")
def scorer(log: tuple[LoggedQuery, ...], tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    folder = tmp_path_factory.mktemp("scorer") / "artifact"
    registry.write(train(log, prefixes=True), folder)
    return Scorer.load(folder)


def test_a_beginning_is_text_that_goes_on() -> None:
    said = synthetic.answer("m", "abcdef", finish_reason="stop", token_logprobs=(-1.0,))
    begun = beginning(said, 3)
    assert begun is not None
    assert (begun.text, begun.finish_reason, begun.token_logprobs) == ("abc", None, None)
    assert beginning(said, 6) is None
    assert beginning(replace(said, tool_calls=({"id": "c"},)), 3) is None


def test_lengths_without_enough_answers_are_left_out(scorer: Scorer) -> None:
    assert scorer.prefix_lengths == (100, 200)


def test_a_beginning_scores_the_same_live_and_in_a_log(scorer: Scorer) -> None:
    unseen = longer(synthetic.log(20, seed=9))
    logged = scorer.score_prefix_log(unseen, "small")
    assert logged.shape == (20, 2)
    for query, row in zip(unseen, logged, strict=True):
        text = query.answers["small"].answer.text
        live = [scorer.score_prefix(query.query, "small", text[:length]) for length in (100, 200)]
        assert live == pytest.approx(row.tolist(), abs=2e-6)
        assert scorer.score_prefix(query.query, "small", text[:199]) == live[0]


def test_training_queries_are_judged_out_of_fold_and_short_answers_not_at_all(
    scorer: Scorer, log: tuple[LoggedQuery, ...]
) -> None:
    scores = scorer.score_prefix_log(log, "large")
    assert np.isfinite(scores).all()
    live = [scorer.score_prefix(q.query, "large", q.answers["large"].answer.text[:100]) for q in log]
    assert not np.allclose(scores[:, 0], live)  # the members that saw a query are not asked
    assert np.isnan(scorer.score_prefix_log(synthetic.log(5), "large")).any()


def test_beginnings_tell_something_and_are_calibrated(scorer: Scorer, log: tuple[LoggedQuery, ...]) -> None:
    told = scorer.report["beginnings"]
    assert set(told) == {"100", "200"}
    labels = np.concatenate([[q.answers[m].quality for q in log] for m in synthetic.SKILLS])
    scores = np.concatenate([scorer.score_prefix_log(log, m)[:, 0] for m in synthetic.SKILLS])
    assert abs(scores.mean() - labels.mean()) < 0.06
    assert np.mean((scores - labels) ** 2) < np.mean((labels.mean() - labels) ** 2)


def test_short_answers_teach_nothing_of_beginnings() -> None:
    short = tuple(
        replace(
            query,
            answers={
                model: replace(entry, answer=replace(entry.answer, text=entry.answer.text[-20:]))
                for model, entry in query.answers.items()
            },
        )
        for query in synthetic.log(40)
    )
    with pytest.raises(TooLittleData, match="beginnings"):
        train(short, prefixes=True)


def test_an_artifact_without_beginnings_is_read_as_before(tmp_path: Path) -> None:
    registry.write(train(synthetic.log(40)), tmp_path / "plain")
    assert Scorer.load(tmp_path / "plain").prefix_lengths == ()
