"""Analyses of many queries' answers side by side, as arrays: one row a query, one column a model.

Knows shapes only. A single answer that is scored as it arrives is a table of one row, so that both go one way.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scorer.features.analysis import ANSWER_NAMES, Analysis
from scorer.features.query import NAMES as QUERY_NAMES
from scorer.features.query import QueryReading
from scorer.lexicon import Terms

NO_CONCLUSION = -1
_LOG_CHARS = ANSWER_NAMES.index("log_chars")


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerTable:
    """n queries × k models.

    query_values : (n, q).   terms : n queries' words.
    present : (n, k) whether there is an answer.   values : (n, k, d), nan where there is none.
    conclusions : (n, k) number of the group of equal conclusions within the query, −1 for none.
    """

    models: tuple[str, ...]
    query_values: NDArray[np.float32]
    terms: Sequence[Terms]
    present: NDArray[np.bool_]
    values: NDArray[np.float32]
    conclusions: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.query_values)

    def take(self, mask: NDArray[np.bool_]) -> "AnswerTable":
        """The queries for which the mask (n,) holds."""
        return AnswerTable(
            models=self.models,
            query_values=self.query_values[mask],
            terms=[self.terms[row] for row in np.flatnonzero(mask).tolist()] if self.terms else [],
            present=self.present[mask],
            values=self.values[mask],
            conclusions=self.conclusions[mask],
        )

    @property
    def log_chars(self) -> NDArray[np.float32]:
        """(n, k) log(1 + characters) of each answer."""
        return self.values[:, :, _LOG_CHARS]


def tabulate(
    rows: Iterable[tuple[QueryReading, Iterable[Analysis]]], models: Sequence[str], n: int, *, terms: bool = True
) -> AnswerTable:
    """Put n analysed queries into one table. Answers of models that it has no column for are left out.

    terms : whether the queries' words will be asked for.
    """
    k = len(models)
    column = {model: index for index, model in enumerate(models)}
    words: list[Terms] = []
    table = AnswerTable(
        models=tuple(models),
        query_values=np.empty((n, len(QUERY_NAMES)), dtype=np.float32),
        terms=words,
        present=np.zeros((n, k), dtype=np.bool_),
        values=np.full((n, k, len(ANSWER_NAMES)), np.nan, dtype=np.float32),
        conclusions=np.full((n, k), NO_CONCLUSION, dtype=np.int32),
    )
    for row, (query, analyses) in enumerate(rows):
        table.query_values[row] = query.values
        if terms:
            words.append(query.terms)
        groups: dict[str, int] = {}
        for analysis in analyses:
            at = column.get(analysis.model)
            if at is None:
                continue
            table.present[row, at] = True
            table.values[row, at] = analysis.values
            if analysis.conclusion is not None:
                table.conclusions[row, at] = groups.setdefault(analysis.conclusion, len(groups))
    return table
