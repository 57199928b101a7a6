"""Playing a cascade, and sweeping all thresholds of a chain at once: they agree, and obey the laws of cascades."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.optimize.search import chains
from router.optimize.simulate import SUMS, Engine, axes, grid, play
from router.optimize.table import ScoreTable
from tests.fakelog import random_table

TABLES = st.builds(random_table, st.integers(1, 40), st.integers(2, 4), st.integers(0, 999))


@given(TABLES, st.integers(1, 4), st.integers(0, 99), st.data())
def test_a_sweep_gives_the_sums_of_playing_each_strategy(
    table: ScoreTable, grid_size: int, seed: int, data: st.DataObject
) -> None:
    parts = np.random.default_rng(seed).integers(0, 3, table.n)
    parts[0] = 2
    reference = table.reference()
    chain = tuple(data.draw(st.lists(st.sampled_from(range(len(table.models))), min_size=1, unique=True)))
    sweep = Engine(table, reference, parts=parts).sweep(chain, grid_size)
    assert sweep.sums.shape[:2] == (len(SUMS), 3)
    for cell in np.ndindex(*sweep.sums.shape[2:]):
        thresholds = [float(sweep.thresholds[axis][cell[axis]]) for axis in axes(len(chain))]
        played = play(table, chain, thresholds)
        gain = played.quality - table.quality[:, reference]
        overspend = (played.cost_nanousd - table.cost_nanousd[:, reference]).astype(float)
        cost = played.cost_nanousd.astype(float)
        for row, values in enumerate((gain, gain**2, cost, cost**2, overspend**2)):
            expected = np.bincount(parts, weights=values, minlength=3)
            assert sweep.sums[(row, slice(None), *cell)] == pytest.approx(expected, rel=1e-12, abs=1e-9)
        assert sweep.sums[(2, slice(None), *cell)].sum() == played.cost_nanousd.sum()  # money: exactly


@given(TABLES, st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.data())
def test_a_stricter_first_stage_never_costs_less(
    table: ScoreTable, one: float, other: float, later: float, data: st.DataObject
) -> None:
    chain = data.draw(st.sampled_from([c for c in chains(tuple(range(len(table.models))), 3) if len(c) > 1]))
    rest = [later] * (len(chain) - 2)
    lax = play(table, chain, [min(one, other), *rest]).cost_nanousd
    strict = play(table, chain, [max(one, other), *rest]).cost_nanousd
    assert (strict >= lax).all()  # for every query, so for any sum of them


@given(TABLES)
def test_always_accepting_is_the_first_model_and_never_accepting_pays_for_all(table: ScoreTable) -> None:
    lax = play(table, (0, 1), [-0.1])
    assert lax.quality.tolist() == table.quality[:, 0].tolist()
    assert lax.cost_nanousd.tolist() == table.cost_nanousd[:, 0].tolist()
    strict = play(table, (0, 1), [1.1])
    assert strict.quality.tolist() == table.quality[:, 1].tolist()
    assert strict.cost_nanousd.tolist() == table.cost_nanousd[:, :2].sum(axis=1).tolist()
    assert (strict.stage == 1).all()


def test_each_stage_is_scored_in_the_light_of_the_answers_before_it() -> None:
    table = random_table(30, 3, 5)
    played = play(table, (2, 0, 1), [0.5, 0.6])
    first, second = table.scores(2), table.scores(0, (2,))
    expected = np.where(first >= 0.5, 0, np.where(second >= 0.6, 1, 2))
    assert played.stage.tolist() == expected.tolist()


def test_the_last_gate_has_a_threshold_of_its_own_and_those_before_it_share_one() -> None:
    assert [axes(n) for n in (1, 2, 3, 4, 5)] == [(), (0,), (0, 1), (0, 0, 1), (0, 0, 0, 1)]


def test_a_chain_needs_a_threshold_for_each_stage_but_the_last() -> None:
    with pytest.raises(ValueError, match="a chain of 2 needs 1 thresholds, not 2"):
        play(random_table(3, 2, 0), (0, 1), [0.5, 0.5])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50), st.integers(1, 20))
def test_a_grid_ascends_and_is_useful(scores: list[float], size: int) -> None:
    thresholds = grid(np.array(scores), size)
    assert 1 <= len(thresholds) <= size
    assert (np.diff(thresholds) > 0).all()
    assert thresholds[-1] == 1
    assert thresholds[0] > min(scores) or min(scores) == 1


def test_ten_million_evaluations_a_second() -> None:
    table = random_table(3000, 4, 0)
    for chain in chains((0, 1, 2, 3), 4):
        for i in range(len(chain) - 1):
            table.scores(chain[i], chain[:i])
    engine = Engine(table, table.reference())
    started = time.perf_counter()
    strategies = sum(engine.sweep(chain, 8).sums[0, 0].size for chain in chains((0, 1, 2, 3), 4))
    rate = strategies * table.n / (time.perf_counter() - started)
    assert rate > 1e7, f"{rate:.3g} (query, strategy) evaluations a second"
