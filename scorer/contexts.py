"""Training rows: every logged answer alone, and again beside random sets of the other answers to its query.

Knows which answers there are. Knows no feature and no label. One scorer can so judge an answer in any context.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_MOST_OTHERS = 6
_ROWS_WANTED = 40_000  # with company; beyond that more draws cost time and bring nothing
_MOST_DRAWS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """r rows: rows (r,) query, models (r,) whose answer, context (r, k) whose other answers are known."""

    rows: NDArray[np.int64]
    models: NDArray[np.int64]
    context: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.rows)

    def where(self, mask: NDArray[np.bool_]) -> "Samples":
        """Those rows for which the mask (r,) holds."""
        return Samples(rows=self.rows[mask], models=self.models[mask], context=self.context[mask])


def alone(usable: NDArray[np.bool_]) -> Samples:
    """Every usable answer (n, k) with nothing beside it."""
    rows, models = np.nonzero(usable)
    return Samples(rows=rows, models=models, context=np.zeros((len(rows), usable.shape[1]), dtype=np.bool_))


def together(usable: NDArray[np.bool_], present: NDArray[np.bool_], seed: int) -> Samples:
    """Every usable answer several times, each beside a random set of the other answers present (n, k).

    A set's size is drawn with probability in inverse proportion to it, its members evenly. Answers without company are
    left out. The same seed gives the same draw.
    """
    rows, models = np.nonzero(usable)
    n_others = present.sum(axis=1)[rows] - present[rows, models]
    rows, models, n_others = (part[n_others > 0] for part in (rows, models, n_others))
    draws = int(np.clip(round(_ROWS_WANTED / max(len(rows), 1)), 1, _MOST_DRAWS))
    rows, models, n_others = (np.tile(part, draws) for part in (rows, models, n_others))
    random = np.random.default_rng(seed)
    keys = random.random((len(rows), present.shape[1]))
    keys[~present[rows]] = 2.0
    keys[np.arange(len(rows)), models] = 3.0
    ranks = keys.argsort(axis=1).argsort(axis=1)
    context = (ranks < _sizes(n_others, random)[:, None]) & (keys < 1.0)
    return Samples(rows=rows, models=models, context=context)


def _sizes(n_others: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
    """(r,) sizes from 1 to n_others (at most _MOST_OTHERS), P(s) ∝ 1/s."""
    cumulated = np.cumsum(1.0 / np.arange(1, _MOST_OTHERS + 1))
    most = cumulated[np.minimum(n_others, _MOST_OTHERS) - 1]
    sizes: NDArray[np.int64] = np.searchsorted(cumulated, random.random(len(n_others)) * most) + 1
    return sizes
