"""Learning a log's categories: one model for each member, fitted without the member's fold, and how often it is right.

Knows tables and folds. Knows no answer's quality: a query's category has nothing to do with who answers it well.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorer import categories
from scorer.features.table import AnswerTable
from scorer.models.lexical import LexicalModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Sorted:
    """names : of the categories.   sorters : one for each fold, which did not see it.   report : out of fold."""

    names: tuple[str, ...]
    sorters: tuple[LexicalModel, ...]
    report: Mapping[str, Any]


def fit(
    tasks: Sequence[str | None],
    table: AnswerTable,
    folds: NDArray[np.int64],
    *,
    seed: int,
    progress: Callable[[str, int, int], None],
) -> Sorted:
    """Find the categories and learn to tell them apart. Raises TooLittleData where there are none to find."""
    found = categories.find(tasks, table.terms, table.query_values, seed=seed)
    parts = np.unique(folds).tolist()
    sorters, right = [], np.zeros(len(folds), dtype=np.bool_)
    for done, fold in enumerate(parts):
        progress("sorting queries", done, len(parts))
        inside, outside = folds == fold, folds != fold
        known, unseen = table.take(outside), table.take(inside)
        model = categories.fit(known.terms, known.query_values, found.labels[outside], len(found.names))
        said = categories.probabilities(model, unseen.terms, unseen.query_values).argmax(axis=1)
        right[inside] = said == found.labels[inside]
        sorters.append(model)
    progress("sorting queries", len(parts), len(parts))
    sizes = [int((found.labels == n).sum()) for n in range(len(found.names))]
    accuracy = float(right[found.labels >= 0].mean())
    told = {"queries": dict(zip(found.names, sizes, strict=True)), "accuracy": accuracy}
    return Sorted(names=found.names, sorters=tuple(sorters), report=told)
