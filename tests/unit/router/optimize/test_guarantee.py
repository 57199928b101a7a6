"""Promises hold as often as they say: p-values are honest, bounds cover, and nothing grows where it must not."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from router.optimize.guarantee import (
    binomial_p_value,
    binomial_upper_bound,
    conformal_least_alpha,
    conformal_step,
    fixed_sequence,
    zero_error_alpha,
    zero_error_points,
)

LEVELS = st.floats(0.01, 0.5)


def counts() -> st.SearchStrategy[tuple[int, int]]:
    return st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts(), LEVELS, LEVELS)
def test_a_p_value_never_rises_with_alpha_and_never_falls_with_errors(
    seen: tuple[int, int], one: float, two: float
) -> None:
    errors, n = seen
    low, high = sorted([one, two])
    assert binomial_p_value(errors, n, high) <= binomial_p_value(errors, n, low)
    if errors < n:
        assert binomial_p_value(errors, n, low) <= binomial_p_value(errors + 1, n, low)


@given(counts(), LEVELS)
def test_the_upper_bound_is_where_the_test_stops_rejecting(seen: tuple[int, int], delta: float) -> None:
    errors, n = seen
    bound = binomial_upper_bound(errors, n, delta)
    assert errors / n <= bound <= 1
    if errors < n:
        assert binomial_p_value(errors, n, bound) == pytest.approx(delta, rel=1e-6)


@pytest.mark.parametrize("n", [20, 150, 1000])
@pytest.mark.parametrize("risk", [0.02, 0.1, 0.4])
def test_p_values_are_super_uniform_where_the_risk_is_alpha(n: int, risk: float) -> None:
    """Exactly, not by simulation: the chance of a p-value at most u is at most u, for every u that can occur."""
    p_values = [binomial_p_value(errors, n, risk) for errors in range(n + 1)]
    chances = [math.exp(_log_chance(errors, n, risk)) for errors in range(n + 1)]
    for u in (0.001, 0.01, 0.05, 0.1, 0.2, 0.5, 0.9):
        assert sum(c for c, p in zip(chances, p_values, strict=True) if p <= u) <= u + 1e-9


def _log_chance(errors: int, n: int, risk: float) -> float:
    ways = math.lgamma(n + 1) - math.lgamma(errors + 1) - math.lgamma(n - errors + 1)
    return ways + errors * math.log(risk) + (n - errors) * math.log1p(-risk)


def test_nothing_observed_says_nothing() -> None:
    assert binomial_p_value(0, 0, 0.1) == 1
    assert binomial_upper_bound(0, 0, 0.1) == 1
    assert zero_error_alpha(0, 0.1) == 1


@given(st.floats(0.001, 0.9), LEVELS)
def test_the_zero_error_minimum_is_enough_and_one_less_is_not(alpha: float, delta: float) -> None:
    n = zero_error_points(alpha, delta)
    assert n == math.ceil(math.log(delta) / math.log(1 - alpha) - 1e-9)
    assert binomial_p_value(0, n, alpha) <= delta * (1 + 1e-6)
    assert n == 1 or binomial_p_value(0, n - 1, alpha) > delta * (1 - 1e-6)
    assert zero_error_alpha(n, delta) <= alpha * (1 + 1e-6)


def test_well_known_minimum() -> None:
    assert zero_error_points(0.05, 0.1) == 45
    assert zero_error_points(0.01, 0.05) == 299  # "the rule of three"


@given(st.lists(st.floats(0, 1)), LEVELS, LEVELS)
def test_a_sequence_stops_at_the_first_failure_and_grows_with_delta(
    p_values: list[float], one: float, two: float
) -> None:
    low, high = sorted([one, two])
    rejected = fixed_sequence(p_values, low)
    assert all(p <= low for p in p_values[:rejected])
    assert rejected == len(p_values) or p_values[rejected] > low
    assert rejected <= fixed_sequence(p_values, high)


def test_a_sequence_is_read_no_further_than_needed() -> None:
    assert fixed_sequence((1 / zero for zero in (100, 100, 1, 0)), 0.1) == 2


@given(arrays(np.float64, (5, 12), elements=st.floats(0, 1)), LEVELS, LEVELS)
def test_the_conformal_step_is_the_last_one_within_alpha(losses: NDArray[np.float64], one: float, two: float) -> None:
    low, high = sorted([one, two])
    step, adjusted = conformal_step(losses, low)
    assert (np.diff(adjusted) >= 0).all()
    assert step < 0 or adjusted[step] <= low
    assert step == 4 or adjusted[step + 1] > low
    assert step <= conformal_step(losses, high)[0]
    assert adjusted[0] >= conformal_least_alpha(12)


def test_a_loss_that_falls_on_the_way_is_still_counted() -> None:
    losses = np.array([[0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0]], dtype=np.float64)
    assert conformal_step(losses, 0.5)[1].tolist() == [0.2, 0.4, 0.6]
    assert conformal_step(losses, 0.5)[0] == 1


def test_conformal_losses_are_within_alpha_in_expectation() -> None:
    """Mean true loss of the chosen step over many calibration sets; where none is chosen nothing is accepted."""
    rng, alpha, n = np.random.default_rng(5), 0.1, 60
    pool_score, limits = rng.random(4000), np.linspace(1, 0, 41)
    pool_wrong = rng.random(4000) > pool_score
    losses = np.array([(pool_score >= limit) & pool_wrong for limit in limits], dtype=np.float64)
    truth = losses.mean(axis=1)
    found = []
    for _ in range(2000):
        step, _ = conformal_step(losses[:, rng.integers(0, 4000, n)], alpha)
        found.append(truth[step] if step >= 0 else 0.0)
    spread = 3 * np.std(found) / math.sqrt(len(found))
    assert np.mean(found) <= alpha + spread
    assert np.mean(found) >= alpha - 2 / n - spread  # nor is it needlessly strict


@pytest.mark.parametrize("risk", [0.02, 0.1, 0.3])
@pytest.mark.parametrize("n", [40, 400])
def test_at_the_boundary_the_false_certificates_of_ten_thousand_draws_are_at_most_delta(risk: float, n: int) -> None:
    """The true risk is alpha itself: the hardest case. Tolerance: three standard errors of the share of draws."""
    draws, delta = 10_000, 0.1
    errors = np.random.default_rng(n).binomial(n, risk, draws)
    certified = np.mean([binomial_p_value(int(seen), n, risk) <= delta for seen in errors])
    missed = np.mean([binomial_upper_bound(int(seen), n, delta) < risk for seen in errors])
    assert certified <= delta + 3 * math.sqrt(delta * (1 - delta) / draws)
    assert missed <= delta + 3 * math.sqrt(delta * (1 - delta) / draws)
