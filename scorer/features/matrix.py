"""The feature matrix: query, answer, experience and agreement side by side, in one order, for training and for serving.

Knows which blocks make a row and what they are called. Knows no label and no model.
"""

import numpy as np
from numpy.typing import NDArray

from scorer.features import agreement
from scorer.features.analysis import ANSWER_NAMES
from scorer.features.experience import Experience
from scorer.features.query import NAMES as QUERY_NAMES
from scorer.features.table import AnswerTable

PRIOR_NAMES = ("accuracy", "accuracy_on_task", "task_ease", "length_unusual")


def feature_names(models: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the columns of ``rows_of`` for a table with these models."""
    return (
        *QUERY_NAMES,
        *ANSWER_NAMES,
        *PRIOR_NAMES,
        *agreement.NAMES,
        *(f"is:{model}" for model in models),
        *(f"agrees:{model}" for model in models),
    )


def rows_of(
    table: AnswerTable,
    rows: NDArray[np.int64],
    models: NDArray[np.int64],
    context: NDArray[np.bool_],
    experience: Experience,
) -> NDArray[np.float32]:
    """(r, F) features of r answers.

    rows : (r,) which query of the table.   models : (r,) whose answer.
    context : (r, k) whose other answers are known; answers that are not there, and the answer itself, do not count.
    """
    together, agrees = agreement.measure(table, rows, models, context, experience)
    identity = np.zeros(agrees.shape, dtype=np.float32)
    identity[np.arange(len(rows)), models] = 1.0
    parts = (
        table.query_values[rows],
        table.values[rows, models],
        _priors(table, rows, models, experience),
        together,
        identity,
        agrees,
    )
    return np.concatenate([np.asarray(part, dtype=np.float32) for part in parts], axis=1)


def _priors(
    table: AnswerTable, rows: NDArray[np.int64], models: NDArray[np.int64], experience: Experience
) -> NDArray[np.float64]:
    tasks = table.tasks[rows]
    unusual = (table.log_chars[rows, models] - experience.typical_log_chars[models]) / experience.spread_log_chars[
        models
    ]
    return np.stack(
        [
            experience.accuracy[models],
            experience.task_accuracy[tasks, models],
            experience.task_accuracy[tasks].mean(axis=1),
            unusual,
        ],
        axis=1,
    )
