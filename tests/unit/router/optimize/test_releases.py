"""What letting streams go early costs on a log, and that a release is chosen with caution."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from router.errors import StrategyError
from router.optimize.releases import Releases
from router.optimize.table import ScoreTable
from router.strategy import Stage, Strategy
from scorer.dataset import LoggedQuery
from tests.fakelog import FakeScorer, fake_log, fake_prices


class Foreseeing(FakeScorer):
    """Beginnings of small's answers score as told, query by query."""

    prefix_lengths = (2, 4)

    def __init__(self, scores: NDArray[np.float64]) -> None:
        super().__init__()
        self._scores = scores

    def score_prefix_log(self, queries: object, model: str) -> NDArray[np.float64]:
        assert model == "small"
        return self._scores


LOG = fake_log(300)
GOOD = np.array([query.answers["small"].quality for query in LOG])


def releases(scores: NDArray[np.float64], queries: list[LoggedQuery] = LOG) -> Releases:
    scorer = Foreseeing(scores)
    stages = [Stage(model="small", threshold=0.6), Stage(model="large")]
    strategy = Strategy.of(stages, reference_model="large", safe_model="large", scorer_version="sc_fake")
    return Releases(strategy, ScoreTable.build(queries, scorer, fake_prices()), queries, scorer)


def test_what_is_let_go_is_what_the_first_model_said_at_its_cost() -> None:
    scores = np.full((300, 2), np.nan)
    scores[:10, 1] = 0.8
    scores[5:10, 0] = 0.9
    one = releases(scores)
    done, held = one.at(0.75), one.held
    assert done.let_go.tolist() == [True] * 10 + [False] * 290
    assert np.array_equal(done.quality[:10], GOOD[:10])
    assert np.array_equal(done.quality[10:], held.quality[10:])
    assert (done.cost_nanousd <= held.cost_nanousd).all()
    texts = [len(query.answers["small"].answer.text) for query in LOG]
    assert done.seen[:10] == pytest.approx([4 / text for text in texts[:5]] + [2 / text for text in texts[5:10]])
    assert (done.seen[10:] == 1).all()


def test_more_is_let_go_at_a_lower_release() -> None:
    rng = np.random.default_rng(0)
    one = releases(rng.random((300, 2)))
    let_go = [one.at(level).let_go for level in np.linspace(0, 1, 21)]
    assert all((more >= less).all() for more, less in itertools.pairwise(let_go))


def test_a_scorer_that_foresees_lets_go_much_and_one_that_guesses_little() -> None:
    told = np.stack([np.full(300, np.nan), np.clip(GOOD, 0.05, 0.95)], axis=1)
    knowing, guessing = releases(told), releases(np.random.default_rng(1).random((300, 2)))
    release = knowing.choose(0.005, 0.5)
    assert release is not None
    assert knowing.at(release).let_go.mean() >= GOOD.mean() - 0.01
    poor = guessing.choose(0.005, 0.5)
    assert poor is None or guessing.at(poor).let_go.mean() < 0.2


def test_nothing_is_chosen_where_there_are_no_beginnings() -> None:
    assert releases(np.full((300, 2), np.nan)).choose(0.1, 0.5) is None


def test_what_could_not_be_let_go_is_refused() -> None:
    table = ScoreTable.build(LOG, FakeScorer(), fake_prices())
    stages = [Stage(model="small", threshold=0.6), Stage(model="large")]
    strategy = Strategy.of(stages, reference_model="large", safe_model="large", scorer_version="sc_fake")
    with pytest.raises(StrategyError, match="--prefixes"):
        Releases(strategy, table, LOG, FakeScorer())
    alone = Strategy.of(stages[1:], reference_model="large", safe_model="large")
    with pytest.raises(StrategyError, match="nothing to let go"):
        Releases(alone, table, LOG, Foreseeing(np.zeros((300, 2))))
    with pytest.raises(StrategyError, match="release"):
        replace(alone, release=0.5).check()
