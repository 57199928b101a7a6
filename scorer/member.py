"""One cross-fitted member of a scorer: everything fitted without one fold, and how it scores.

Knows the way from a table of answers to probabilities. Knows neither how it was fitted nor where it is kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorer.calibration import Calibrator
from scorer.contexts import Samples
from scorer.features.experience import Experience, Facts, facts_of
from scorer.features.matrix import alone_rows, together_rows
from scorer.features.table import AnswerTable
from scorer.models import boosted, linear
from scorer.models.scorer import Features, Fitter, Floats, Loader, QualityModel

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
class Member:
    """Fitted on all folds but its own. An answer with others beside it goes to ``together``, any other to ``alone``.

    together : None where the log never had two answers to one query.
    """

    experience: Experience
    alone: Head
    together: Head | None

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


def features_of(head: str, table: AnswerTable, samples: Samples, facts: Facts) -> Features:
    """(r, F) features for a head, "alone" or "together"."""
    if head == "alone":
        return alone_rows(table, samples.rows, samples.models, facts)
    return together_rows(table, samples.rows, samples.models, samples.context, facts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A scorer as it leaves training. ``folds`` : fold by query hash; ``priors`` : mean quality by model."""

    models: tuple[str, ...]
    folds: Mapping[str, int]
    priors: Mapping[str, float]
    members: tuple[Member, ...]
    report: Mapping[str, Any]


def in_company(table: AnswerTable, samples: Samples) -> NDArray[np.bool_]:
    """(r,) whether any other answer is there beside it."""
    beside = samples.context & table.present[samples.rows]
    beside[np.arange(len(samples)), samples.models] = False
    return np.asarray(beside.any(axis=1))
