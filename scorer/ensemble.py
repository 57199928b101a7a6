"""All members asked at once about one answer: the request path's way of scoring.

Knows how to do for one answer and all members what ``member`` does for many answers and one member; the numbers agree
to rounding. Knows no request and no file.
"""

from collections.abc import Sequence

import numpy as np

from scorer.contexts import Samples
from scorer.errors import ScorerError
from scorer.features.experience import ManyExperiences
from scorer.features.table import AnswerTable
from scorer.member import Head, Member, features_of, in_company
from scorer.models.boosted import BoostedModel
from scorer.models.linear import LinearModel, ManyLinear
from scorer.models.scorer import Features, Floats


class Ensemble:
    """The members side by side."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._experiences = ManyExperiences([member.experience for member in members])
        alone = [member.alone for member in members if member.alone is not None]
        self._alone = _ManyHeads(alone) if len(alone) == len(members) else None
        beside = [member.together for member in members if member.together is not None]
        self._together = _ManyHeads(beside) if len(beside) == len(members) else None
        begun = [member.prefix for member in members if member.prefix is not None]
        self._begun = begun if len(begun) == len(members) else []
        self._n = len(members)

    @property
    def lengths(self) -> tuple[int, ...]:
        """The lengths at which beginnings can be judged, ascending; none where none was learned from."""
        return self._begun[0].lengths if self._begun else ()

    def score_beginning(self, table: AnswerTable, model: int, place: int) -> Floats:
        """(m,) calibrated P(good) by member, of the answer that began so. place : which of the lengths it has."""
        rows = Samples(
            rows=np.zeros(self._n, dtype=np.int64),
            models=np.full(self._n, model, dtype=np.int64),
            context=np.zeros((self._n, len(table.models)), dtype=np.bool_),
        )
        X = features_of("alone", table, rows, self._experiences.facts_of(model))
        return np.concatenate([head.score(X[n : n + 1], place) for n, head in enumerate(self._begun)])

    def score(self, table: AnswerTable, model: int) -> Floats:
        """(m,) calibrated P(good) by member: of one model's answer in a table of one query, beside all others there."""
        rows = Samples(
            rows=np.zeros(self._n, dtype=np.int64),
            models=np.full(self._n, model, dtype=np.int64),
            context=np.broadcast_to(table.present, (self._n, len(table.models))),
        )
        facts = self._experiences.facts_of(model)
        if self._together is not None and in_company(table, rows)[0]:
            return self._together.score(features_of("together", table, rows, facts))
        if self._alone is None:
            raise ScorerError("the scorer was trained on labels alone: it expects, but it can judge no answer")
        return self._alone.score(features_of("alone", table, rows, facts))


class _ManyHeads:
    def __init__(self, heads: Sequence[Head]) -> None:
        self._heads = heads
        self._linear: list[tuple[int, float, LinearModel]] = []
        self._boosted: list[tuple[int, float, BoostedModel]] = []
        for index, head in enumerate(heads):
            for kind, model in head.models.items():
                if isinstance(model, BoostedModel):
                    self._boosted.append((index, head.weights[kind], model))
                elif isinstance(model, LinearModel):
                    self._linear.append((index, head.weights[kind], model))
        self._places = np.array([index for index, _, _ in self._linear], dtype=np.int64)
        self._weights = np.array([weight for _, weight, _ in self._linear])
        self._stacked = ManyLinear([model for _, _, model in self._linear]) if self._linear else None

    def score(self, X: Features) -> Floats:
        """(m,) P(good) by head, each for its own row of X (m, F)."""
        z = np.zeros(len(self._heads))
        if self._stacked is not None:
            np.add.at(z, self._places, self._weights * self._stacked.logits(X[self._places]))
        for index, weight, model in self._boosted:
            z[index] += weight * model.logit_of(X[index])
        return np.array([head.calibrator(z[index : index + 1])[0] for index, head in enumerate(self._heads)])
