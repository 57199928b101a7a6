"""The path leads from strict to what was chosen, and is laid by the selection's queries alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.certificate import Kind
from router.optimize.path import STEPS, start, steps, trials
from tests.fakelog import random_table
from tests.pools import population

CHAIN = (0, 1, 2)


@given(st.integers(0, 1000), st.floats(0, 1), st.floats(0, 1))
def test_thresholds_only_fall_towards_the_chosen_ones(seed: int, one: float, two: float) -> None:
    path = steps(random_table(60, 3, seed), CHAIN, (one, two))
    assert path[-1].tolist() == [one, two]
    assert (np.diff(path, axis=0) <= 0).all()
    assert (np.diff(path, axis=0) != 0).any(axis=1).all()  # no step is tried twice
    assert path.max() <= 1
    assert len(path) <= STEPS


@given(st.integers(0, 1000), st.sampled_from([0.3, 0.6]))
def test_each_step_accepts_about_an_even_share_more(seed: int, threshold: float) -> None:
    table = population(400, seed)
    path = steps(table, (0, 2), (threshold,), size=10)
    scores = table.scores(0)
    accepted = [int((scores >= t).sum()) for t in path[:, 0]]
    assert accepted == pytest.approx([accepted[-1] * i / 10 for i in range(1, 11)], abs=2)


def test_where_the_selection_accepts_nothing_thresholds_rise_evenly() -> None:
    path = steps(random_table(20, 2, 0, informative=0.0), (0, 1), (1.0,))
    assert path.tolist() == [[1.0]]
    table = random_table(20, 2, 0, informative=0.0)
    high = float(table.scores(0).max()) + 0.001
    assert len(steps(table, (0, 1), (high,), size=5)) == 5


def test_a_single_model_has_one_step() -> None:
    assert steps(random_table(20, 2, 0), (1,), ()).shape == (1, 0)


@pytest.mark.parametrize("kind", ["wrong_accepted", "quality_drop"])
def test_trials_are_what_the_cascade_does(kind: Kind) -> None:
    table = population(50, 3)
    path = np.array([[0.9, 0.8], [0.5, 0.5]])
    seen = trials(table, CHAIN, path, kind, 2)
    for step, (first, second) in enumerate(path):
        for i in range(table.n):
            stage = 0 if table.scores(0)[i] >= first else 1 if table.scores(1)[i] >= second else 2
            lost = (1 if kind == "wrong_accepted" else table.quality[i, 2]) - table.quality[i, stage]
            assert seen.losses[step, i] == lost
            assert seen.accepted[step, i] == (stage < 2)
            assert seen.cost_nanousd[step, i] == table.cost_nanousd[i, : stage + 1].sum()
        assert len(seen.counted(step)) == (50 if kind == "quality_drop" else seen.accepted[step].sum())
    assert 0 <= seen.scaled(seen.losses).min() <= seen.scaled(seen.losses).max() <= 1
    assert seen.limit(0.1) == (0.55 if kind == "quality_drop" else 0.1)


def test_the_start_is_safe_where_it_must_be_and_lenient_where_it_may() -> None:
    table = population(2000, 4)
    path = steps(table, CHAIN, (0.75, 0.8))
    seen = trials(table, CHAIN, path, "wrong_accepted", 2)
    starts = [start(seen, alpha) for alpha in (0.03, 0.1, 0.3)]
    assert starts == sorted(starts)
    assert starts[0] < starts[-1]
    assert seen.counted(starts[1]).mean() < 0.1
