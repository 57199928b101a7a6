"""What a log says about each model before an answer is looked at: how good it is and how long its answers are.

Knows counts by fold, so that the experience *without* some folds is a subtraction: nothing scored with it, and no
training row, ever sees its own label in it. Knows no feature of a text.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scorer.features.table import AnswerTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Experience:
    """Fitted on some folds; used on others.

    accuracy : (k,) mean quality, shrunk to that of all.
    typical_log_chars, spread_log_chars : (k,) of the model's answers.
    """

    accuracy: NDArray[np.float64]
    typical_log_chars: NDArray[np.float64]
    spread_log_chars: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What an experience says of r answers.

    accuracy : (r,) of the answer's model.   accuracies : (r, k) of every model.
    typical_log_chars, spread_log_chars : (r,) of its answers.
    """

    accuracy: NDArray[np.float64]
    accuracies: NDArray[np.float64]
    typical_log_chars: NDArray[np.float64]
    spread_log_chars: NDArray[np.float64]


def facts_of(experience: Experience, models: NDArray[np.int64]) -> Facts:
    """One experience about r answers: models (r,) that gave them."""
    return Facts(
        accuracy=experience.accuracy[models],
        accuracies=np.broadcast_to(experience.accuracy, (len(models), len(experience.accuracy))),
        typical_log_chars=experience.typical_log_chars[models],
        spread_log_chars=experience.spread_log_chars[models],
    )


class ManyExperiences:
    """Several experiences about one answer, side by side."""

    def __init__(self, experiences: Sequence[Experience]) -> None:
        self._accuracy = np.stack([each.accuracy for each in experiences])
        self._typical = np.stack([each.typical_log_chars for each in experiences])
        self._spread = np.stack([each.spread_log_chars for each in experiences])

    def facts_of(self, models: NDArray[np.int64]) -> Facts:
        """Each experience about r answers, one experience after the other: m × r rows. models : (r,) that gave them."""
        return Facts(
            accuracy=self._accuracy[:, models].ravel(),
            accuracies=np.repeat(self._accuracy, len(models), axis=0),
            typical_log_chars=self._typical[:, models].ravel(),
            spread_log_chars=self._spread[:, models].ravel(),
        )


class ExperienceByFold:
    """Sums by fold from which the experience without any of them follows.

    quality : (n, k) labels in [0, 1], nan where there is none.   folds : (n,) fold of each query.
    """

    def __init__(self, table: AnswerTable, quality: NDArray[np.float64], folds: NDArray[np.int64]) -> None:
        self.n_folds = int(folds.max()) + 1
        k = len(table.models)
        labelled = table.present & ~np.isnan(quality)
        good = np.where(labelled, quality, 0.0)
        self._counts = np.zeros((self.n_folds, k, 2))
        np.add.at(self._counts, folds, np.stack([labelled.astype(float), good], axis=-1))
        self._lengths = np.zeros((self.n_folds, k, 3))
        for fold in range(self.n_folds):
            rows = folds == fold
            length = np.where(table.present[rows], table.log_chars[rows], 0.0).astype(np.float64)
            self._lengths[fold] = np.stack(
                [table.present[rows].sum(axis=0), length.sum(axis=0), (length**2).sum(axis=0)], axis=-1
            )

    def without(self, folds: Collection[int]) -> Experience:
        """The experience of all folds but these."""
        kept = [fold for fold in range(self.n_folds) if fold not in folds]
        count, total = self._counts[kept].sum(axis=0).T
        overall = (total.sum() + 1.0) / (count.sum() + 2.0)
        accuracy = (total + 2.0 * overall) / (count + 2.0)
        n, length, squares = self._lengths[kept].sum(axis=0).T
        mean = length / np.maximum(n, 1)
        spread = np.sqrt(np.maximum(squares / np.maximum(n, 1) - mean**2, 0.0))
        return Experience(
            accuracy=accuracy,
            typical_log_chars=mean,
            spread_log_chars=np.maximum(spread, 0.05),
        )
