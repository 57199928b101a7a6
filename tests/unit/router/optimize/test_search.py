"""The search tries what it says, drops only hopeless models, and its frontier is one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.optimize.search import Candidates, SearchSpace, chains, models_worth_trying, per_query
from router.optimize.table import ScoreTable
from tests.fakelog import random_table

TABLES = st.builds(random_table, st.integers(1, 40), st.integers(1, 4), st.integers(0, 999))
SMALL = SearchSpace(depth=3, max_models=3, grid_sizes=(5, 4))


@given(TABLES)
def test_every_strategy_has_the_estimates_that_playing_it_gives(table: ScoreTable) -> None:
    candidates = Candidates.search(table, SMALL)
    estimates = candidates.estimates()
    assert len(candidates) == len(estimates.cost)
    for index in range(0, len(candidates), max(1, len(candidates) // 20)):
        quality, cost = per_query(candidates, index)
        assert estimates.quality[index] == pytest.approx(quality.mean())
        assert estimates.cost[index] == pytest.approx(cost.mean())
        assert estimates.cost_se[index] == pytest.approx(cost.std() / np.sqrt(table.n), abs=1e-3)


@given(TABLES)
def test_nothing_beats_the_frontier(table: ScoreTable) -> None:
    candidates = Candidates.search(table, SMALL)
    estimates, frontier = candidates.estimates(), candidates.frontier()
    assert (np.diff(estimates.cost[frontier]) > 0).all()
    assert (np.diff(estimates.gain[frontier]) > 0).all()
    for index in range(len(candidates)):
        on_it = estimates.cost[frontier] <= estimates.cost[index]
        assert estimates.gain[frontier][on_it].max() >= estimates.gain[index] - 1e-9


@given(TABLES, st.integers(0, 2))
def test_parts_add_up(table: ScoreTable, part: int) -> None:
    parts = np.arange(table.n) % 3
    if table.n < 3:
        return
    candidates = Candidates.search(table, SMALL, parts=parts)
    whole, without, only = candidates.estimates(), candidates.estimates(without=part), candidates.estimates(only=part)
    inside = (parts == part).mean()
    assert whole.gain == pytest.approx(inside * only.gain + (1 - inside) * without.gain, abs=1e-9)
    assert whole.cost == pytest.approx(inside * only.cost + (1 - inside) * without.cost)


def test_the_reference_has_no_doubt_and_everything_else_has_some() -> None:
    candidates = Candidates.search(random_table(30, 3, 1), SMALL)
    estimates, single = candidates.estimates(), candidates.index_of_single(candidates.reference)
    assert candidates.stages(single) == ((candidates.reference,), ())
    assert estimates.gain[single] == estimates.gain_se[single] == 0
    assert (np.delete(estimates.gain_se, single) > 0).all()


def test_only_hopeless_models_are_dropped() -> None:
    quality = np.tile([0.9, 0.5, 0.6, 0.2], (10, 1))
    cost = np.tile([100, 1, 10, 50], (10, 1))
    table = ScoreTable(
        models=("best", "cheap", "fair", "hopeless"),
        query_hashes=tuple(map(str, range(10))),
        quality=quality,
        cost_nanousd=cost.astype(np.int64),
        scores=lambda _model, _context: np.full(10, 0.5),
    )
    assert models_worth_trying(table, 3) == (1, 2, 0)
    assert models_worth_trying(table, 1) == (0,)
    assert len(models_worth_trying(table, 9)) == 4


def test_chains_go_from_cheap_to_dear_but_for_the_last_and_the_shortest_come_first() -> None:
    assert list(chains((4, 7), 3)) == [(4,), (7,), (4, 7), (7, 4)]
    assert set(chains((1, 2, 3), 3)) - set(chains((1, 2, 3), 2)) == {(1, 2, 3), (1, 3, 2), (2, 3, 1)}


def test_progress_is_told() -> None:
    told: list[tuple[int, int]] = []
    Candidates.search(random_table(5, 2, 0), SMALL, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
