"""Confidence intervals by resampling whole queries, so that what is paired within a query stays paired.

Knows numbers by query. Knows not what they mean.
"""

import numpy as np
from numpy.typing import NDArray

DRAWS = 2000
_CELLS_AT_ONCE = 4_000_000  # counts held in memory at a time

Interval = tuple[float, float]


def resampled_means(values: NDArray[np.float64], *, draws: int = DRAWS, seed: int = 0) -> NDArray[np.float64]:
    """(draws, m) means of (n, m) values over n queries drawn with replacement, the same ones for every column."""
    n = len(values)
    rng = np.random.default_rng(seed)
    at_once = max(1, _CELLS_AT_ONCE // n)
    blocks = []
    for start in range(0, draws, at_once):
        size = min(at_once, draws - start)
        drawn = rng.integers(0, n, size=(size, n)) + n * np.arange(size)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n)
        blocks.append(counts @ values / n)
    return np.concatenate(blocks)


def interval(drawn: NDArray[np.float64], *, level: float = 0.95) -> Interval:
    """Percentile interval (Efron, 1979) of (draws,) statistics of resampled means."""
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2]).tolist()
    return float(low), float(high)
