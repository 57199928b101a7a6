"""One cross-fitted member of a scorer: everything fitted without one fold, and how it scores.

Knows the way from a table of answers to probabilities. Knows neither how it was fitted nor where it is kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorer.calibration import Calibrator
from scorer.categories import probabilities
from scorer.contexts import Samples
from scorer.familiarity import Familiarity
from scorer.features import outlook
from scorer.features.experience import Experience, Facts, facts_of
from scorer.features.matrix import alone_rows, together_rows
from scorer.features.table import AnswerTable
from scorer.forecast import Forecast
from scorer.models import boosted, linear
from scorer.models.lexical import LexicalModel
from scorer.models.scorer import Features, Fitter, Floats, Loader, QualityModel, logit

KINDS: Mapping[str, tuple[Fitter, Loader]] = {
    "linear": (linear.fit, linear.load),
    "boosted": (boosted.fit, boosted.load),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Models whose log-odds are averaged with weights (that sum to 1), and the calibration of the average."""

    models: Mapping[str, QualityModel]
    weights: Mapping[str, float]
    calibrator: Calibrator

    def score(self, X: Features) -> Floats:
        """(n,) calibrated P(good) of (n, F) features."""
        z = np.zeros(len(X))
        for kind, model in self.models.items():
            z += self.weights[kind] * model.logits(X)
        return self.calibrator(z)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixHead:
    """Judges the beginnings of answers: one model for all lengths (ascending), a calibration for each."""

    lengths: tuple[int, ...]
    model: QualityModel
    calibrators: tuple[Calibrator, ...]

    def score(self, X: Features, place: int) -> Floats:
        """(n,) calibrated P(the whole answer will be good) of (n, F) features of beginnings of one length."""
        return self.calibrators[place](self.model.logits(X))


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """Fitted on all folds but its own. An answer with others beside it goes to ``together``, any other to ``alone``.

    forecast : before any call.   outlook : of models that have not answered, given those that have.
    prefix : None where training was not told to look at beginnings.   sorter : a query's category, where told to.
    alone : None where the log had labels alone.   together, outlook : None where it never had two answers to one query.
    """

    experience: Experience
    alone: Head | None
    together: Head | None
    forecast: Forecast
    outlook: Head | None
    prefix: PrefixHead | None = None
    sorter: LexicalModel | None = None

    def score(self, table: AnswerTable, samples: Samples) -> Floats:
        """(r,) calibrated P(good)."""
        scores = np.empty(len(samples))
        nobody = np.zeros(len(samples), dtype=np.bool_)
        company = nobody if self.together is None else in_company(table, samples)
        for name, head, mask in (("together", self.together, company), ("alone", self.alone, ~company)):
            if head is not None and mask.any():
                part = samples.where(mask)
                facts = facts_of(self.experience, part.models)
                scores[mask] = head.score(features_of(name, table, part, facts))
        return scores

    def sort(self, table: AnswerTable) -> Floats:
        """(n, c) probabilities of each query's categories."""
        if self.sorter is None:
            raise ValueError("this member has not learned categories")
        return probabilities(self.sorter, table.terms, table.query_values)

    def judge_beginnings(self, table: AnswerTable, samples: Samples, place: int) -> Floats:
        """(r,) calibrated P(good) of the answers that began as a table of beginnings has them."""
        if self.prefix is None:
            raise ValueError("this member has not learned from beginnings")
        X = features_of("alone", table, samples, facts_of(self.experience, samples.models))
        return self.prefix.score(X, place)

    def looks(self, table: AnswerTable) -> Floats:
        """(n, k) log-odds of every answer by itself, 0 where there is none."""
        rows, models = np.nonzero(table.present)
        nobody = np.zeros((len(rows), len(table.models)), dtype=np.bool_)
        z = np.zeros(table.present.shape)
        z[rows, models] = logit(self.score(table, Samples(rows=rows, models=models, context=nobody)))
        return z

    def believe(self, table: AnswerTable, context: NDArray[np.bool_]) -> Floats:
        """(n, k) P(good) of every model's answer, given the answers of a context (k,) where they are there.

        Of a model in the context: of its answer, equal conclusions sharing their fate. Of any other: of the answer that
        it would give.
        """
        known = np.broadcast_to(context, table.present.shape) & table.present
        beliefs, _ = self.forecast.expect(table.terms, table.query_values)
        rows, models = np.nonzero(~known & np.asarray(known.any(axis=1))[:, None])
        if self.outlook is not None and len(rows):
            unseen = Samples(rows=rows, models=models, context=known[rows])
            X = outlook_features(table, unseen, logit(beliefs), self.looks(table), logit(self.experience.accuracy))
            beliefs[rows, models] = self.outlook.score(X)
        rows, models = np.nonzero(known)
        seen = Samples(rows=rows, models=models, context=known[rows])
        beliefs[rows, models] = self.score(table, seen)
        return shared(beliefs, np.where(known, table.conclusions, -1))


def outlook_features(
    table: AnswerTable, samples: Samples, expected: Floats, looks: Floats, accuracy: Floats
) -> Features:
    """(r, F) features of models that have not answered: the query, the answer seen that looks best (whoever went wrong
    in a way that can be seen shows how hard the query is), and what ``features.outlook`` measures."""
    each = np.arange(len(samples))
    identity = np.zeros((len(samples), len(table.models)), dtype=np.float32)
    identity[each, samples.models] = 1.0
    values = outlook.measure(table, samples.rows, samples.models, samples.context, expected, looks, accuracy)
    known = samples.context & table.present[samples.rows]
    known[each, samples.models] = False
    best = np.where(known, looks[samples.rows], -np.inf).argmax(axis=1)
    answer = table.values[samples.rows, best]
    answer[~known.any(axis=1)] = np.nan
    return np.concatenate(
        [table.query_values[samples.rows], answer, values, identity], axis=1, dtype=np.float32, casting="same_kind"
    )


def shared(p: Floats, groups: NDArray[np.int32]) -> Floats:
    """Probabilities (n, k) of which those of one group (n, k; −1 for none) of a row are their mean."""
    same = (groups[:, :, None] == groups[:, None, :]) & (groups >= 0)[:, :, None]
    size = same.sum(axis=2)
    together = (same * p[:, None, :]).sum(axis=2) / np.maximum(size, 1)
    return np.where(size > 0, together, p)


def features_of(head: str, table: AnswerTable, samples: Samples, facts: Facts) -> Features:
    """(r, F) features for a head, "alone" or "together"."""
    if head == "alone":
        return alone_rows(table, samples.rows, samples.models, facts)
    return together_rows(table, samples.rows, samples.models, samples.context, facts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A scorer as it leaves training. ``folds`` : fold by query hash; ``priors`` : mean quality by model;
    ``categories`` : their names, empty where training was not told to find any."""

    models: tuple[str, ...]
    folds: Mapping[str, int]
    priors: Mapping[str, float]
    members: tuple[Member, ...]
    familiarity: Familiarity
    report: Mapping[str, Any]
    categories: tuple[str, ...] = ()


def in_company(table: AnswerTable, samples: Samples) -> NDArray[np.bool_]:
    """(r,) whether any other answer is there beside it."""
    beside = samples.context & table.present[samples.rows]
    beside[np.arange(len(samples)), samples.models] = False
    return np.asarray(beside.any(axis=1))
