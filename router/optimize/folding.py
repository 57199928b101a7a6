"""Folds of a table: which queries are left out together. Knows groups, and nothing of what is done with folds."""

import numpy as np
from numpy.typing import NDArray

FOLDS = 5


def folds(groups: tuple[str, ...]) -> NDArray[np.intp]:
    """(n,) a fold of 0 … FOLDS - 1 for each query, as even as can be; queries of one group have the same one."""
    ranks = np.unique(np.asarray(groups), return_inverse=True)[1]
    return np.asarray(ranks.reshape(-1) % FOLDS, dtype=np.intp)
