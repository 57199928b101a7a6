"""Bets are honest: whatever the distribution, p-values are super-uniform and bounds cover."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from router.optimize.betting import betting_p_value, betting_upper_bound
from router.optimize.guarantee import binomial_upper_bound, zero_error_alpha

DRAWS = 1500
Sample = Callable[[np.random.Generator, int], NDArray[np.float64]]

SHAPES: dict[str, tuple[Sample, float]] = {
    "rare errors": (lambda rng, n: (rng.random(n) < 0.03).astype(np.float64), 0.03),
    "coin": (lambda rng, n: (rng.random(n) < 0.5).astype(np.float64), 0.5),
    "smooth": (lambda rng, n: rng.beta(0.5, 4, n), 0.5 / 4.5),
    "drop": (lambda rng, n: (rng.choice([-1, 0, 1], n, p=[0.03, 0.9, 0.07]) + 1) / 2, 0.52),
    "rare and large": (lambda rng, n: np.where(rng.random(n) < 0.01, 1.0, 0.2), 0.208),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n", [30, 300])
def test_p_values_are_super_uniform_and_bounds_cover(shape: str, n: int) -> None:
    """Tolerance: three standard errors of the share of draws."""
    draw, mean = SHAPES[shape]
    rng = np.random.default_rng(11)
    p_values = np.array([betting_p_value(draw(rng, n), mean, 0.1) for _ in range(DRAWS)])
    for level in (0.02, 0.05, 0.1, 0.3):
        assert (p_values <= level).mean() <= level + 3 * math.sqrt(level * (1 - level) / DRAWS)
    missed = np.mean([betting_upper_bound(draw(rng, n), 0.1) < mean for _ in range(DRAWS // 5)])
    assert missed <= 0.1 + 3 * math.sqrt(0.09 / (DRAWS // 5))


OBSERVED = st.lists(st.floats(0, 1), max_size=60).map(lambda values: np.array(values, dtype=np.float64))


@given(OBSERVED, st.floats(0.01, 0.99), st.floats(0.01, 0.99), st.floats(0.01, 0.5))
def test_a_p_value_never_rises_with_the_mean_that_is_tested(
    x: NDArray[np.float64], one: float, two: float, delta: float
) -> None:
    low, high = sorted([one, two])
    assert betting_p_value(x, high, delta) <= betting_p_value(x, low, delta) * (1 + 1e-9)
    assert 0 < betting_p_value(x, low, delta) <= 1


@given(OBSERVED, st.floats(0.01, 0.5))
def test_the_bound_is_where_the_test_starts_to_reject(x: NDArray[np.float64], delta: float) -> None:
    bound = betting_upper_bound(x, delta)
    if bound < 1:
        assert betting_p_value(x, min(bound + 1e-9, 1 - 1e-12), delta) <= delta * (1 + 1e-6)
    if 1e-6 < bound < 1 - 1e-6:
        assert betting_p_value(x, bound - 1e-6, delta) >= delta * (1 - 1e-2)


def test_nothing_observed_says_nothing() -> None:
    nothing = np.array([], dtype=np.float64)
    assert betting_p_value(nothing, 0.3, 0.1) == 1
    assert betting_upper_bound(nothing, 0.1) == 1


def test_the_price_for_assuming_nothing_is_moderate() -> None:
    """Against the exact binomial bound on the same 0/1 data, and against the least that any test needs without loss."""
    rng = np.random.default_rng(3)
    bets, exact = [], []
    for _ in range(50):
        x = (rng.random(800) < 0.08).astype(np.float64)
        bets.append(betting_upper_bound(x, 0.1) - x.mean())
        exact.append(binomial_upper_bound(int(x.sum()), 800, 0.1) - x.mean())
    assert np.mean(bets) < 1.6 * np.mean(exact)
    assert betting_upper_bound(np.zeros(500), 0.1) < 1.5 * zero_error_alpha(500, 0.1)


def test_a_steady_drop_is_known_better_than_a_varying_one() -> None:
    steady, varying = np.full(400, 0.5), np.tile([0.0, 1.0], 200)
    assert betting_upper_bound(steady, 0.1) < 0.51 < betting_upper_bound(varying, 0.1)
