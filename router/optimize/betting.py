"""Tests and bounds for the mean of bounded observations, by betting against it.

Knows arrays of observations in [0, 1]. Knows nothing of where they are from.

Source: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", JRSS B 2024
(arXiv:2010.09686). A gambler bets before each observation that it falls below m. If the true mean is at least m the
game is fair or worse, so the odds that the capital ever grows 1 / delta-fold are at most delta (Ville, 1939). It needs
no assumption on the distribution, and profits from the variance that the data have rather than the worst possible.
"""

import math

import numpy as np
from numpy.typing import NDArray

_MOST_STAKED = 0.9  # of the capital; all of it would be lost by one observation of 1
_BISECTIONS = 40


def betting_p_value(x: NDArray[np.float64], mean: float, delta: float) -> float:
    """Of "the mean is at least ``mean``", which is in (0, 1).

    x : (n,) observations in [0, 1], in an order that does not depend on their values.
    delta : the level that bets are tuned for; the p-value is valid at every level.
    It never rises with ``mean``. It is 1 where nothing was observed.
    """
    return math.exp(-_log_capital(x, _bets(x, delta), mean))


def betting_upper_bound(x: NDArray[np.float64], delta: float) -> float:
    """An upper bound of the mean of observations in [0, 1] that holds with probability 1 - delta.

    It is the largest mean that ``betting_p_value`` does not reject at level delta.
    """
    bets = _bets(x, delta)
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if math.exp(-_log_capital(x, bets, middle)) <= delta:
            high = middle
        else:
            low = middle
    return high


def _bets(x: NDArray[np.float64], delta: float) -> NDArray[np.float64]:
    """(n,) what is bet on each observation, known before it: most where the observations so far vary least."""
    n = len(x)
    counts = np.arange(2, n + 2)
    means = (0.5 + np.cumsum(x)) / counts
    variances = (0.25 + np.cumsum((x - means) ** 2)) / counts
    before = np.concatenate([[0.25], variances[:-1]])[:n]
    return np.asarray(np.sqrt(2 * math.log(1 / delta) / (n * before)), dtype=np.float64) if n else before[:0]


def _log_capital(x: NDArray[np.float64], bets: NDArray[np.float64], mean: float) -> float:
    """The log of the most that a capital of 1 ever grew to, at least 0."""
    staked = np.minimum(bets, _MOST_STAKED / (1 - mean))
    return float(max(0.0, np.cumsum(np.log1p(staked * (mean - x))).max(initial=0.0)))
