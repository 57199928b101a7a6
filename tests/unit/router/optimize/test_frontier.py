"""Frontiers: nothing on them is beaten in both, nothing off them is unbeaten."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from router.optimize.frontier import spread_out, undominated, with_bands

MEANS = arrays.arrays(np.float64, st.integers(1, 30), elements=st.integers(0, 9).map(float))


@given(st.data())
def test_the_frontier_is_what_nothing_beats(data: st.DataObject) -> None:
    quality = data.draw(MEANS)
    cost = data.draw(arrays.arrays(np.float64, len(quality), elements=st.integers(0, 9).map(float)))
    rows = undominated(quality, cost)
    assert (np.diff(cost[rows]) > 0).all()
    assert (np.diff(quality[rows]) > 0).all()
    for row in range(len(quality)):
        assert ((cost[rows] <= cost[row]) & (quality[rows] >= quality[row])).any()


@given(st.integers(1, 100), st.integers(2, 24))
def test_what_is_kept_of_a_long_frontier_has_its_ends(length: int, at_most: int) -> None:
    kept = spread_out(np.arange(length), at_most)
    assert len(kept) <= at_most
    assert {0, length - 1} <= set(kept.tolist())


def test_bands_are_narrower_with_more_queries_and_paired_with_the_reference() -> None:
    rng = np.random.default_rng(0)
    widths = []
    for n in (100, 10_000):
        quality = (rng.random((1, n)) < 0.7).astype(float)
        (point,) = with_bands(["a"], quality, np.full((1, n), 2e6), quality[0])
        widths.append(point.quality_ci95[1] - point.quality_ci95[0])
        assert point.gain_ci95 == (0.0, 0.0)
        assert point.cost_ci95 == pytest.approx((2.0, 2.0))
    assert widths[1] < widths[0] / 5
    assert with_bands([], np.empty((0, 3)), np.empty((0, 3)), np.zeros(3)) == ()
