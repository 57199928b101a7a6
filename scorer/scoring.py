"""The trained scorer: P(an answer is good), for one answer as it arrives and for whole logs out of fold.

Knows an artifact's members and how their scores are put together. Knows no training and no file format.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scorer.answer import Answer, Query
from scorer.dataset import LoggedQuery


class Scorer:
    """A calibrated judge of answers, made by ``spillway train``.

    version : content hash of the artifact.
    models : the models whose answers it can score.
    """

    version: str
    models: frozenset[str]

    @classmethod
    def load(cls, directory: Path | str) -> "Scorer":
        """Read an artifact directory. Every file is verified by its hash before any is parsed. Raises ArtifactError."""
        raise NotImplementedError

    def score(self, query: Query, answer: Answer, others: Sequence[Answer] = ()) -> float:
        """Calibrated P(answer is good), in [0, 1].

        others : the other answers that were already paid for in this request; their order does not matter.
        Raises UnknownModel if the answer's model was not in the training log, ScorerError if no score can be given.
        """
        raise NotImplementedError

    def score_log(self, queries: Sequence[LoggedQuery], model: str, others: Sequence[str] = ()) -> NDArray[np.float64]:
        """(n,) scores of one model's logged answers, given the logged answers of ``others``.

        A query on which the artifact was trained is scored by the member that did not see it (out of fold); any other
        query gets the same number as from ``score``. Raises UnknownModel for a model that was not in the training log,
        ScorerError if a query lacks an answer of ``model`` or of one of ``others``.
        """
        raise NotImplementedError

    def trained_on(self, query_hash: str) -> bool:
        """Whether a query (see ``scorer.dataset.query_hash``) was among those that the artifact was trained on."""
        raise NotImplementedError

    @property
    def priors(self) -> Mapping[str, float]:
        """Mean quality by model on the training queries."""
        raise NotImplementedError
