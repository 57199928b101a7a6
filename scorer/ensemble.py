"""All members asked at once about one query: the request path's way of scoring.

Knows how to do for one query and all members what ``member`` does for many queries and one member; the numbers agree
to rounding. Knows no request and no file.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scorer.contexts import Samples
from scorer.errors import ScorerError
from scorer.features.experience import ManyExperiences
from scorer.features.table import AnswerTable
from scorer.member import Head, Member, features_of, outlook_features, shared
from scorer.models.boosted import BoostedModel
from scorer.models.linear import LinearModel, ManyLinear
from scorer.models.scorer import Features, Floats, logit

Models = NDArray[np.int64]


class Ensemble:
    """The members side by side. Tables are of one query; results are by member (m, …)."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._experiences = ManyExperiences([member.experience for member in members])
        self._accuracy = [logit(member.experience.accuracy) for member in members]
        self._forecasts = [member.forecast for member in members]
        self._alone = _many([member.alone for member in members])
        self._together = _many([member.together for member in members])
        self._outlook = _many([member.outlook for member in members])
        begun = [member.prefix for member in members if member.prefix is not None]
        self._begun = begun if len(begun) == len(members) else []
        self._n = len(members)

    @property
    def lengths(self) -> tuple[int, ...]:
        """The lengths at which beginnings can be judged, ascending; none where none was learned from."""
        return self._begun[0].lengths if self._begun else ()

    def score_beginning(self, table: AnswerTable, model: int, place: int) -> Floats:
        """(m,) calibrated P(good) of the answer that began so. place : which of the lengths it has."""
        models = np.array([model])
        rows = _rows(table, models, self._n, alone=True)
        X = features_of("alone", table, rows, self._experiences.facts_of(models))
        return np.concatenate([head.score(X[n : n + 1], place) for n, head in enumerate(self._begun)])

    def score(self, table: AnswerTable, models: Models) -> Floats:
        """(m, r) calibrated P(good) of the answers of r models, each beside all others in the table."""
        beside = self._together if int(table.present.sum()) > 1 else None
        return self._looks(table, models) if beside is None else self._scored("together", beside, table, models)

    def expect(self, table: AnswerTable) -> tuple[Floats, Floats]:
        """(m, k) P(good) and (m, k) expected completion tokens, before any call."""
        said = [each.expect(table.terms, table.query_values) for each in self._forecasts]
        return np.concatenate([p for p, _ in said]), np.concatenate([tokens for _, tokens in said])

    def believe(self, table: AnswerTable, expected: Floats) -> Floats:
        """(m, k) P(good) of every model's answer, given all answers in the table; see ``Member.believe``.

        expected : (m, k) what ``expect`` says of the query, which no answer changes.
        """
        beliefs = expected.copy()
        seen = table.present[0]
        answered, waiting = np.flatnonzero(seen), np.flatnonzero(~seen)
        if not len(answered):
            return beliefs
        if self._outlook is not None and len(waiting):
            looks = np.zeros(beliefs.shape)
            looks[:, answered] = logit(self._looks(table, answered))
            rows = _rows(table, waiting, 1)
            X = [
                outlook_features(table, rows, logit(beliefs[each : each + 1]), looks[each : each + 1], accuracy)
                for each, accuracy in enumerate(self._accuracy)
            ]
            beliefs[:, waiting] = self._outlook.score(np.stack(X))
        beliefs[:, answered] = self.score(table, answered)
        return shared(beliefs, np.broadcast_to(np.where(seen, table.conclusions, -1), beliefs.shape))

    def _looks(self, table: AnswerTable, models: Models) -> Floats:
        if self._alone is None:
            raise ScorerError("the scorer was trained on labels alone: it expects, but it can judge no answer")
        return self._scored("alone", self._alone, table, models)

    def _scored(self, name: str, heads: "_ManyHeads", table: AnswerTable, models: Models) -> Floats:
        facts = self._experiences.facts_of(models)
        X = features_of(name, table, _rows(table, models, self._n), facts)
        return heads.score(X.reshape(self._n, len(models), -1))


def _rows(table: AnswerTable, models: Models, times: int, *, alone: bool = False) -> Samples:
    """The table's one query with each model, beside all others there or alone; as often as it has to be."""
    each = np.tile(models, times)
    beside = np.zeros_like(table.present) if alone else table.present
    context = np.broadcast_to(beside, (len(each), len(table.models)))
    return Samples(rows=np.zeros(len(each), dtype=np.int64), models=each, context=context)


def _many(heads: Sequence[Head | None]) -> "_ManyHeads | None":
    there = [head for head in heads if head is not None]
    return _ManyHeads(there) if len(there) == len(heads) else None


class _ManyHeads:
    def __init__(self, heads: Sequence[Head]) -> None:
        self._calibrators = [head.calibrator for head in heads]
        self._plain = all(calibrator.method == "identity" for calibrator in self._calibrators)  # all the same, then
        self._boosted: list[tuple[int, float, BoostedModel]] = []
        linear: list[tuple[int, float, LinearModel]] = []
        for index, head in enumerate(heads):
            for kind, model in head.models.items():
                if isinstance(model, BoostedModel):
                    self._boosted.append((index, head.weights[kind], model))
                elif isinstance(model, LinearModel):
                    linear.append((index, head.weights[kind], model))
        self._places = np.array([index for index, _, _ in linear], dtype=np.int64)
        self._weights = np.array([[weight] for _, weight, _ in linear])
        self._linear = ManyLinear([model for _, _, model in linear]) if linear else None

    def score(self, X: Features) -> Floats:
        """(m, r) P(good) by head, each for rows of its own: X (m, r, F)."""
        z = np.zeros(X.shape[:2])
        if self._linear is not None:  # a head has one linear model at most
            z[self._places] += self._weights * self._linear.logits(X[self._places])
        for index, weight, model in self._boosted:
            z[index] += weight * np.array([model.logit_of(x) for x in X[index]])
        if self._plain:
            return self._calibrators[0](z)
        return np.stack([calibrator(row) for calibrator, row in zip(self._calibrators, z, strict=True)])
