"""Plays threshold cascades on a table: one of them query by query, or every threshold of a chain of models at once.

Knows sums and histograms. Knows no rule by which one of them is chosen.

A whole chain costs one pass over the queries: each falls into a cell (between which thresholds its scores lie), and
the sums over cells, accumulated along each axis, are the result of every combination of thresholds. So a chain of four
with 8 x 8 x 8 thresholds is 512 strategies for the price of a handful.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Every pair of thresholds of one chain at once.

    thresholds : one ascending array per stage but the last, of lengths g1[, g2 …].
    sums : (len(SUMS), parts, g1[, g2 …]), in the order of ``SUMS``, over the queries of each part.
    """

    chain: Chain
    thresholds: tuple[NDArray[np.float64], ...]
    sums: NDArray[np.float64]


SUMS = ("gain", "gain_squared", "cost", "cost_squared", "overspend_squared")
"""What a sweep adds up per query. gain: quality above the reference's; cost: nano-USD, all calls, exact below 2**53;
overspend: cost above the reference's. The squares give standard errors."""


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
        self._bins: dict[tuple[int, Chain, int], tuple[NDArray[np.float64], NDArray[np.intp]]] = {}

    def sweep(self, chain: Chain, grid_size: int) -> Sweep:
        """Every cascade over this chain of models, with ``grid_size`` thresholds per stage but the last."""
        binned = [self._binned(chain[i], tuple(sorted(chain[:i])), grid_size) for i in range(len(chain) - 1)]
        sizes = tuple(len(thresholds) + 1 for thresholds, _ in binned)
        cells = self.parts
        for (_, bins), size in zip(binned, sizes, strict=True):
            cells = cells * size + bins
        shape = (self.n_parts, *sizes)
        totals = np.zeros((len(SUMS), self.n_parts, *(size - 1 for size in sizes)))
        paid = np.zeros(self.table.n, dtype=np.int64)
        for stage, model in enumerate(chain):
            paid = paid + self.table.cost_nanousd[:, model]
            gain, overspend = self._gain[:, model], (paid - self._reference_cost).astype(np.float64)
            ended = (gain, gain * gain, paid, paid.astype(np.float64) ** 2, overspend * overspend)
            for i, values in enumerate(ended):
                by_cell = np.bincount(cells, weights=values, minlength=int(np.prod(shape))).reshape(shape)
                totals[i] += _ending(by_cell.astype(np.float64), stage)
        return Sweep(chain=chain, thresholds=tuple(thresholds for thresholds, _ in binned), sums=totals)

    def _binned(self, model: int, context: Chain, grid_size: int) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
        """A stage's thresholds, and how many of them each of its answers reaches."""
        key = (model, context, grid_size)
        if key not in self._bins:
            scores = self.table.scores(model, context)
            thresholds = grid(scores, grid_size)
            self._bins[key] = thresholds, np.searchsorted(thresholds, scores, side="right")
        return self._bins[key]


def _ending(by_cell: NDArray[np.float64], stage: int) -> NDArray[np.float64]:
    """Sums over the queries that end at ``stage``, for every combination of thresholds.

    by_cell : (parts, g1 + 1[, g2 + 1 …]) sums; cell j of an axis holds the answers that reach j of its thresholds. So
    the answers that miss threshold j lie in cells 0 … j, and those that reach it in the cells above.
    """
    sums = by_cell
    for axis in range(1, by_cell.ndim):
        if axis > stage + 1:  # never called: any cell
            sums = sums.sum(axis=axis, keepdims=True)
            continue
        missed = np.delete(np.cumsum(sums, axis=axis), -1, axis=axis)
        sums = missed if axis <= stage else sums.sum(axis=axis, keepdims=True) - missed
    return sums
