"""Plays threshold cascades on a table: one of them query by query, or every threshold of a chain of models at once.

Knows sums and histograms. Knows no rule by which one of them is chosen.

A whole chain costs one pass over the queries per stage: each query falls into a cell (between which thresholds its
scores lie), and the sums over cells, accumulated along each axis, hold for every combination of thresholds. What a
strategy brings is what its first stage brings, plus what going on to the next one changes for those that go on, and so
forth. So a chain with 14 x 14 thresholds is 196 strategies for the price of a handful.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router.optimize.table import ScoreTable

Chain = tuple[int, ...]
"""Models of a table by index, in calling order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """What one cascade did on every query.

    stage : (n,) which stage's answer was returned.   quality : (n,) of that answer.
    cost_nanousd : (n,) int64, all calls that were made.
    """

    stage: NDArray[np.intp]
    quality: NDArray[np.float64]
    cost_nanousd: NDArray[np.int64]


def play(table: ScoreTable, chain: Chain, thresholds: Sequence[float]) -> Play:
    """Play one cascade: an answer is accepted if its score reaches its stage's threshold, the last one always.

    thresholds : one less than the chain has models.
    """
    if len(thresholds) != len(chain) - 1:
        raise ValueError(f"a chain of {len(chain)} needs {len(chain) - 1} thresholds, not {len(thresholds)}")
    stage = np.zeros(table.n, dtype=np.intp)
    cost = table.cost_nanousd[:, chain[0]].copy()
    going = np.ones(table.n, dtype=bool)
    for i, threshold in enumerate(thresholds):
        going &= table.scores(chain[i], chain[:i]) < threshold
        stage[going] = i + 1
        cost[going] += table.cost_nanousd[going, chain[i + 1]]
    quality = table.quality[np.arange(table.n), np.asarray(chain)[stage]]
    return Play(stage=stage, quality=quality, cost_nanousd=cost)


SUMS = ("gain", "gain_squared", "cost", "cost_squared", "overspend_squared")
"""What a sweep adds up per query. gain: quality above the reference's; cost: nano-USD, all calls, exact below 2**53;
overspend: cost above the reference's. The squares give standard errors."""


def axes(n_models: int) -> tuple[int, ...]:
    """Which of a sweep's thresholds each stage but the last goes by.

    The last stage but one has a threshold of its own, for it is what calls the last and dearest model; those before it
    share one. Fewer thresholds are less of an occasion to fit chance, and calibrated scores mean the same at each.
    """
    return () if n_models == 1 else (0,) * (n_models - 2) + (min(1, n_models - 2),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Every combination of thresholds of one chain at once.

    thresholds : one ascending array per axis, of lengths g1[, g2].
    sums : (len(SUMS), parts, g1[, g2]), in the order of ``SUMS``, over the queries of each part.
    """

    chain: Chain
    thresholds: tuple[NDArray[np.float64], ...]
    sums: NDArray[np.float64]


def grid(scores: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """At most ``size`` ascending thresholds at which as equal as possible numbers of answers are accepted.

    None of them accepts every answer; the last accepts only certainty (a score of 1).
    """
    levels = np.quantile(scores, np.linspace(0, 1, size + 1)[1:-1], method="higher")
    thresholds = np.unique(np.append(levels, 1.0))
    return np.asarray(thresholds[thresholds > min(scores.min(), np.nextafter(1, 0))])


class Engine:
    """Sweeps chains over one table, split into parts whose sums stay apart (folds, for cross-validation).

    reference : the model that gains and overspends are counted against.
    parts : (n,) the part of each query, 0 … n_parts - 1; default: one part.
    """

    def __init__(self, table: ScoreTable, reference: int, *, parts: NDArray[np.intp] | None = None) -> None:
        self.table = table
        self.parts = np.zeros(table.n, dtype=np.intp) if parts is None else parts
        self.n_parts = int(self.parts.max()) + 1
        self._gain = table.quality - table.quality[:, [reference]]
        self._reference_cost = table.cost_nanousd[:, reference]

    def sweep(self, chain: Chain, grid_size: int) -> Sweep:
        """Every cascade over this chain of models, with ``grid_size`` thresholds on each axis."""
        stages = axes(len(chain))
        scores = [self.table.scores(chain[i], chain[:i]) for i in range(len(stages))]
        levels = (
            grid(np.concatenate([own for own, axis in zip(scores, stages, strict=True) if axis == wanted]), grid_size)
            for wanted in sorted(set(stages))
        )
        return self.sweep_at(chain, tuple(levels))

    def sweep_at(self, chain: Chain, thresholds: tuple[NDArray[np.float64], ...]) -> Sweep:
        """Every cascade over this chain of models, with these thresholds on its axes."""
        stages = axes(len(chain))
        scores = [self.table.scores(chain[i], chain[:i]) for i in range(len(stages))]
        sizes = tuple(len(levels) for levels in thresholds)
        reached = np.zeros((len(sizes), self.table.n), dtype=np.intp)  # the most thresholds reached so far, by axis
        paid = self.table.cost_nanousd[:, chain[0]]
        if_ended = self._values(chain[0], paid)
        totals = self._sums(if_ended, reached[:0], ()).reshape(len(SUMS), self.n_parts, *(1 for _ in sizes))
        for i, axis in enumerate(stages):
            reached[axis] = np.maximum(reached[axis], np.searchsorted(thresholds[axis], scores[i], side="right"))
            paid = paid + self.table.cost_nanousd[:, chain[i + 1]]
            if_next = self._values(chain[i + 1], paid)
            totals = totals + self._sums(if_next - if_ended, reached, sizes)
            if_ended = if_next
        return Sweep(chain=chain, thresholds=thresholds, sums=totals)

    def _values(self, model: int, paid: NDArray[np.int64]) -> NDArray[np.float64]:
        """(len(SUMS), n) what each query brings if it ends with this model's answer."""
        gain, cost = self._gain[:, model], paid.astype(np.float64)
        return np.stack([gain, gain * gain, cost, cost * cost, (cost - self._reference_cost) ** 2])

    def _sums(
        self, values: NDArray[np.float64], reached: NDArray[np.intp], sizes: tuple[int, ...]
    ) -> NDArray[np.float64]:
        """(len(SUMS), parts, g1[, g2]) sums over the queries that go on: that reach none of the thresholds.

        A query with ``reached`` r misses threshold j of an axis if r <= j, so the sums over cells of equal r are
        accumulated along each axis.
        """
        shape = (self.n_parts, *(size + 1 for size in sizes))
        cells = np.ravel_multi_index((self.parts, *reached), shape)
        length = int(np.prod(shape))
        sums = np.stack([np.bincount(cells, weights=row, minlength=length).reshape(shape) for row in values])
        for axis, size in enumerate(sizes, start=2):
            sums = np.cumsum(sums, axis=axis).take(range(size), axis=axis)
        return np.asarray(sums, dtype=np.float64)
