"""Single models that do as well as the reference: what every cascade has to beat first.

Knows a table. Knows no strategy.
"""

import numpy as np
from numpy.typing import NDArray

from router.optimize.bootstrap import interval, resampled_means
from router.optimize.table import ScoreTable

MARGIN = 0.01  # of quality
_LEVEL = 0.9  # two-sided: the lower end is a one-sided bound at 95 %


def cheapest_equal(table: ScoreTable, reference: int, drawn_gains: NDArray[np.float64] | None = None) -> int:
    """The cheapest single model shown to be at most ``MARGIN`` worse than the reference.

    The lower 95 % bound of its quality above the reference's is not below that: no difference seen is not enough.
    drawn_gains : (draws, k) resampled means of every model's quality above the reference's, where there are any.
    """
    if drawn_gains is None:
        drawn_gains = resampled_means(table.quality - table.quality[:, [reference]])
    spent = table.cost_nanousd.sum(axis=0)
    cheapest_first = sorted(range(len(table.models)), key=lambda m: (spent[m], m != reference))
    return next(m for m in cheapest_first if m == reference or interval(drawn_gains[:, m], level=_LEVEL)[0] >= -MARGIN)
