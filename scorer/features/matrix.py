"""The feature matrix: query, answer, priors and agreement side by side, in one order, for training and for serving.

Knows which blocks make a row and what they are called: shorter rows for answers that stand alone, longer ones for
answers beside others. Knows no label and no model.
"""

import numpy as np
from numpy.typing import NDArray

from scorer.features import agreement
from scorer.features.analysis import ANSWER_NAMES
from scorer.features.experience import Facts
from scorer.features.query import NAMES as QUERY_NAMES
from scorer.features.table import AnswerTable

PRIOR_NAMES = ("accuracy", "length_unusual")


def alone_names(models: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the columns of ``alone_rows`` for a table with these models."""
    return (*QUERY_NAMES, *ANSWER_NAMES, *PRIOR_NAMES, *(f"is:{model}" for model in models))


def together_names(models: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the columns of ``together_rows`` for a table with these models."""
    return (*alone_names(models), *agreement.NAMES)


def alone_rows(
    table: AnswerTable, rows: NDArray[np.int64], models: NDArray[np.int64], facts: Facts
) -> NDArray[np.float32]:
    """(r, F) features of r answers by themselves.

    rows : (r,) which query of the table.   models : (r,) whose answer.   facts : of an experience about them.
    """
    identity = np.zeros((len(rows), len(table.models)), dtype=np.float32)
    identity[np.arange(len(rows)), models] = 1.0
    return _side_by_side(
        table.query_values[rows], table.values[rows, models], _priors(table, rows, models, facts), identity
    )


def together_rows(
    table: AnswerTable, rows: NDArray[np.int64], models: NDArray[np.int64], context: NDArray[np.bool_], facts: Facts
) -> NDArray[np.float32]:
    """(r, F) features of r answers beside others.

    context : (r, k) whose other answers are known; answers that are not there, and the answer itself, do not count.
    """
    beside = agreement.measure(table, rows, models, context, facts)
    return _side_by_side(alone_rows(table, rows, models, facts), beside)


def _side_by_side(*parts: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.concatenate(parts, axis=1, dtype=np.float32, casting="same_kind")


def _priors(
    table: AnswerTable, rows: NDArray[np.int64], models: NDArray[np.int64], facts: Facts
) -> NDArray[np.float64]:
    unusual = (table.log_chars[rows, models] - facts.typical_log_chars) / facts.spread_log_chars
    return np.stack([facts.accuracy, unusual], axis=1)
