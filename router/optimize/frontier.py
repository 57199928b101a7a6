"""The cost-quality frontier among strategies that were carried out on a table, with bootstrap bands.

Knows what each of them brought, query by query. Knows neither what they are nor which of them was chosen.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router.optimize.bootstrap import Interval, interval, resampled_means

MOST_POINTS = 24
_DRAWS = 1000
_USD_PER_1K = 1_000_000  # nano-USD per query in a US dollar per thousand queries

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One strategy of the frontier. Intervals hold 95 % over queries; they know nothing of its having been chosen.

    gain_ci95 : of quality above the reference's, paired by query.
    """

    strategy: str
    quality: float
    quality_ci95: Interval
    gain_ci95: Interval
    cost_usd_per_1k: float
    cost_ci95: Interval

    def to_document(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def undominated(quality: Floats, cost: Floats) -> NDArray[np.intp]:
    """Of S means those that none beats in both, from the cheapest to the best."""
    order = np.lexsort((-quality, cost))
    best_before = np.concatenate([[-np.inf], np.maximum.accumulate(quality[order])[:-1]])
    return np.asarray(order[quality[order] > best_before + 1e-12])


def spread_out(rows: NDArray[np.intp], at_most: int = MOST_POINTS) -> NDArray[np.intp]:
    """At most so many of the rows, the ends among them."""
    kept = np.linspace(0, len(rows) - 1, min(at_most, len(rows))).round().astype(np.intp)
    return np.asarray(rows[np.unique(kept)])


def with_bands(names: Sequence[str], quality: Floats, cost: Floats, reference: Floats) -> tuple[Point, ...]:
    """The points of s strategies: (s, n) quality and cost in nano-USD, query by query; (n,) the reference's quality."""
    if not len(names):
        return ()
    gain = quality - reference
    columns = np.concatenate([quality, gain, cost / _USD_PER_1K]).T
    drawn, means = resampled_means(columns, draws=_DRAWS), columns.mean(axis=0)
    s = len(names)
    return tuple(
        Point(
            strategy=name,
            quality=float(means[i]),
            quality_ci95=interval(drawn[:, i]),
            gain_ci95=interval(drawn[:, s + i]),
            cost_usd_per_1k=float(means[2 * s + i]),
            cost_ci95=interval(drawn[:, 2 * s + i]),
        )
        for i, name in enumerate(names)
    )
