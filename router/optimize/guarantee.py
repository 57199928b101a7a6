"""Statistics of promises about a strategy's risk: p-values, bounds, and how many of a series of tests may be believed.

Knows arrays of losses. Knows no model, no threshold and no file.

Learn then Test (Angelopoulos, Bates, Candès, Jordan and Lei, 2021, arXiv:2110.01052): for each strategy of a series
that was fixed before the data were looked at, test "its risk is above alpha", and go on while that is rejected at level
delta. Then with probability at least 1 - delta no rejected strategy's risk is above alpha.

Conformal risk control (Angelopoulos, Bates, Fisch, Lei and Schuster, 2022, arXiv:2208.02814) promises less, with fewer
data: the loss on the next query is at most alpha *in expectation*, over calibration sets and that query together.
"""

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy import special


def binomial_p_value(errors: int, n: int, alpha: float) -> float:
    """Of "the probability of an error is at least ``alpha``": P(Binomial(n, alpha) <= errors), exact.

    Source: Clopper and Pearson, 1934. It is 1 where nothing was observed.
    """
    return float(special.bdtr(errors, n, alpha)) if n else 1.0


def binomial_upper_bound(errors: int, n: int, delta: float) -> float:
    """The least upper bound of the probability of an error that holds with probability 1 - delta (Clopper, Pearson)."""
    return 1.0 if errors >= n else float(special.betaincinv(errors + 1, n - errors, 1 - delta))


def zero_error_points(alpha: float, delta: float) -> int:
    """How many observations, all without error, it takes to certify ``alpha``: ln(delta) / ln(1 - alpha)."""
    return math.ceil(math.log(delta) / math.log1p(-alpha) - 1e-9)


def zero_error_alpha(n: int, delta: float) -> float:
    """The smallest alpha that ``n`` observations can certify, if all are without error. It is 1 for none."""
    return -math.expm1(math.log(delta) / n) if n else 1.0


def fixed_sequence(p_values: Iterable[float], delta: float) -> int:
    """How many tests of a series, in its order, are rejected before the first that is not.

    p_values : of a series whose order does not depend on the data that they are from; read no further than needed.
    With probability 1 - delta no true null hypothesis is among the rejected (Maurer, Hothorn and Lehmacher, 1995).
    """
    rejected = 0
    for p_value in p_values:
        if p_value > delta:
            break
        rejected += 1
    return rejected


def conformal_step(losses: NDArray[np.float64], alpha: float) -> tuple[int, NDArray[np.float64]]:
    """The most lenient step whose expected loss on the next query is at most ``alpha``; -1 if none is.

    losses : (steps, n) in [0, 1], from the strictest step to the most lenient.
    Returns the step and (steps,) what was compared with alpha: (sum of losses + 1) / (n + 1).
    The method needs losses that never fall as a strategy grows more lenient. A cascade's may (an answer rejected early
    lets a later stage accept a wrong one), so each query's loss is replaced by its largest at any stricter step.
    """
    n = losses.shape[1]
    monotone = np.maximum.accumulate(losses, axis=0)
    adjusted = np.asarray((monotone.sum(axis=1) + 1) / (n + 1), dtype=np.float64)
    return int(np.searchsorted(adjusted, alpha, side="right")) - 1, adjusted


def conformal_least_alpha(n: int) -> float:
    """The smallest alpha that conformal risk control can reach with ``n`` queries, if all are without loss."""
    return 1 / (n + 1)
