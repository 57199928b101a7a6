"""Intervals that hold what they say."""

import numpy as np
import pytest

from router.optimize import bootstrap
from router.optimize.bootstrap import interval, resampled_means


def test_the_spread_of_a_mean_is_its_standard_error() -> None:
    values = np.random.default_rng(0).normal(2, 3, (400, 1))
    drawn = resampled_means(values, draws=4000)
    assert drawn.mean() == pytest.approx(values.mean(), abs=0.02)
    assert drawn.std() == pytest.approx(values.std() / 20, rel=0.05)
    low, high = interval(drawn[:, 0])
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.08)


def test_what_is_paired_stays_paired() -> None:
    column = np.random.default_rng(1).random((50, 1))
    drawn = resampled_means(np.hstack([column, column + 1]), draws=100)
    assert drawn[:, 1] - drawn[:, 0] == pytest.approx(np.ones(100))


def test_it_repeats_itself_by_seed_and_works_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(2).random((30, 2))
    whole = resampled_means(values, draws=50, seed=7)
    assert whole.tolist() == resampled_means(values, draws=50, seed=7).tolist()
    assert whole.tolist() != resampled_means(values, draws=50, seed=8).tolist()
    monkeypatch.setattr(bootstrap, "_CELLS_AT_ONCE", 60)
    assert resampled_means(values, draws=50, seed=7) == pytest.approx(whole)


def test_intervals_cover_at_their_rate() -> None:
    rng = np.random.default_rng(3)
    hits = 0
    for seed in range(200):
        drawn = resampled_means(rng.exponential(1.0, (80, 1)), draws=400, seed=seed)
        low, high = interval(drawn[:, 0])
        hits += low <= 1 <= high
    assert 0.88 <= hits / 200 <= 0.99
