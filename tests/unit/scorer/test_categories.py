"""Categories of queries: found in a log, told apart out of fold, alike live and in a log, and kept as plain data."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scorer import categories, registry
from scorer.dataset import LoggedQuery
from scorer.errors import ArtifactError, ScorerError, TooLittleData
from scorer.features.query import read_query
from scorer.lexicon import Terms
from scorer.scoring import Scorer
from scorer.training import train
from tests.unit.scorer import synthetic

ASKS = {
    "sums": "What do we get if these two numbers are added up: {}?",
    "law": "Which court would hear the appeal in the case of the tenant {} against the landlord?",
}


def two_kinds(queries: tuple[LoggedQuery, ...], *, tasks: bool = True) -> tuple[LoggedQuery, ...]:
    """The same answers to questions of two kinds, in turn."""
    made = []
    for n, each in enumerate(queries):
        kind = ("sums", "law")[n % 2]
        said = ({"role": "user", "content": ASKS[kind].format(f"{each.query.id} {n * 37}")},)
        made.append(replace(each, query=replace(each.query, messages=said, task=kind if tasks else None)))
    return tuple(made)


@pytest.fixture(scope="module")
def two() -> tuple[LoggedQuery, ...]:
    return two_kinds(synthetic.log(120))


@pytest.fixture(scope="module")
def folder(two: tuple[LoggedQuery, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scorer") / "artifact"
    registry.write(train(two, kinds=["linear"], categories=True), folder)
    return folder


def test_it_learns_the_tasks_and_tells_them_alike_live_and_in_a_log(two: tuple[LoggedQuery, ...], folder: Path) -> None:
    scorer = Scorer.load(folder)
    assert scorer.categories == ("law", "sums")
    assert scorer.report["categories"] == {"queries": {"law": 60, "sums": 60}, "accuracy": 1.0}
    unseen = two_kinds(synthetic.log(20, seed=1))
    told = scorer.categorise_log(unseen)
    assert told == tuple(scorer.categorise(each.query) for each in unseen)
    assert [each.name for each in told if each is not None] == [each.query.task for each in unseen]
    assert all(0.5 < each.p < 1 for each in told if each is not None)


def test_a_logs_queries_are_told_by_the_member_that_did_not_see_them(
    two: tuple[LoggedQuery, ...], folder: Path
) -> None:
    scorer, [told] = Scorer.load(folder), Scorer.load(folder).categorise_log(two[:1])
    whole = scorer.categorise(two[0].query)
    assert told is not None
    assert whole is not None
    assert told.name == whole.name
    assert told.p != whole.p


def test_a_query_unlike_the_log_has_no_category(folder: Path) -> None:
    assert Scorer.load(folder).categorise(synthetic.query("Здравствуйте, какая сегодня погода?")) is None


def test_without_training_for_it_there_are_none(scorer: Scorer) -> None:
    assert scorer.categories == ()
    with pytest.raises(ScorerError, match="train --categories"):
        scorer.categorise(synthetic.query("What is 1 + 1?"))


def terms(texts: list[str]) -> tuple[list[Terms], np.ndarray[tuple[int, int], np.dtype[np.float32]]]:
    readings = [read_query(synthetic.query(text)) for text in texts]
    return [each.terms for each in readings], np.array([each.values for each in readings], dtype=np.float32)


def test_where_a_log_names_no_tasks_like_queries_are_put_together() -> None:
    asked = [ASKS[kind].format(n) for n in range(60) for kind in ("sums", "law")]
    words, surface = terms(asked)
    found = categories.find([None] * len(asked), words, surface, seed=0)
    assert found.names == ("cluster-1", "cluster-2")
    assert {tuple(np.unique(found.labels[kind::2])) for kind in (0, 1)} == {(0,), (1,)}
    model = categories.fit(words, surface, found.labels, 2)
    p = categories.probabilities(model, words, surface)
    assert (p.argmax(axis=1) == found.labels).all()
    assert p.sum(axis=1) == pytest.approx(1)
    with pytest.raises(TooLittleData, match="100 queries in all"):
        categories.find([None] * 60, words[:60], surface[:60], seed=0)


def test_rare_tasks_and_those_that_a_part_lacks_are_never_said() -> None:
    words, surface = terms([f"one {n}" for n in range(40)] + [f"two {n}" for n in range(40)] + ["three"] * 5)
    found = categories.find(["a"] * 40 + ["b"] * 40 + ["c"] * 5, words, surface, seed=0)
    assert (found.names, found.labels.tolist()[-6:]) == (("a", "b"), [1, *[-1] * 5])
    only_b = categories.fit(words[40:80], surface[40:80], np.ones(40, dtype=np.intp), 3)
    assert categories.probabilities(only_b, words, surface)[:, 1] == pytest.approx(1, abs=1e-9)


def test_an_artifact_whose_names_do_not_fit_is_refused(two: tuple[LoggedQuery, ...], tmp_path: Path) -> None:
    trained = train(two, kinds=["linear"], categories=True)
    registry.write(replace(trained, categories=("law", "sums", "more")), tmp_path / "artifact")
    with pytest.raises(ArtifactError, match="categories must be different names"):
        registry.read(tmp_path / "artifact")
