"""Before any call: how likely each model is to answer a query well, and how many tokens its answer will take.

Knows the query alone: its words and its surface. Knows no answer. A regression on words speaks for each model; trees
over all models put it together with the surface. What calibrates the first and teaches the second are predictions for
queries that the regression did not see.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scorer.calibration import Calibrator, calibrate, side_by_side
from scorer.lexicon import Terms
from scorer.models import boosted, lexical
from scorer.models.lexical import LexicalModel
from scorer.models.scorer import Features, Floats, QualityModel, logit, sigmoid

_PENALTY = 8.0
_LEAST_ANSWERS = 8  # of a model, without which its lengths are not corrected
_MOST_SMEARING = 4.0
_MOST_ROWS = 40_000
_SHAPE = boosted.Shape(trees=150, leaves=8, rows_per_leaf=60, rate=0.04)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """words : k targets of quality, then k of log length.   calibrators : of quality.   trees : of all models.

    smearing : (k,) mean length over exp of mean log; nan where no length was logged.
    """

    words: LexicalModel
    calibrators: tuple[Calibrator, ...]
    trees: QualityModel
    smearing: Floats

    def expect(self, texts: Sequence[Terms], surface: Features) -> tuple[Floats, Floats]:
        """(n, k) P(good) and (n, k) expected completion tokens of every model's answer to n queries.

        Tokens are nan for a model of which no length was logged.
        """
        raw = self.words.predict(texts, surface)
        k = len(self.calibrators)
        return self.p_of(raw[:, :k], surface), np.exp(np.clip(raw[:, k:], 0.0, 14.0)) * self.smearing

    def p_of(self, raw: Floats, surface: Features) -> Floats:
        """(n, k) P(good) from what the regression on words says (n, k)."""
        n, k = raw.shape
        words = logit(side_by_side(self.calibrators, logit(raw)))
        rows, models = np.divmod(np.arange(n * k), k)
        trees = self.trees.logits(_features(raw, surface, rows, models)).reshape(n, k)
        return sigmoid((words + trees) / 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What regressions said of queries that they did not see, and what came of it: (n, k) each, nan for not known."""

    said_quality: Floats
    quality: Floats
    said_length: Floats
    log_tokens: Floats


def fit(texts: Sequence[Terms], surface: Features, quality: Floats, log_tokens: Floats) -> LexicalModel:
    """The regression on words: of labels (n, k) and of log completion tokens (n, k), nan where there is none."""
    return lexical.fit(texts, surface, np.concatenate([quality, log_tokens], axis=1), penalty=_PENALTY)


def finished(words: LexicalModel, seen: Seen, surface: Features, *, seed: int) -> Forecast:
    """A forecast from its regression and from what others like it said of other queries, with surface (n, d)."""
    k = seen.quality.shape[1]
    calibrators = []
    smearing = np.full(k, np.nan)
    for m in range(k):
        known = ~np.isnan(seen.quality[:, m])
        calibrators.append(calibrate(logit(seen.said_quality[known, m]), seen.quality[known, m], "platt"))
        known = ~np.isnan(seen.log_tokens[:, m])
        if known.any():
            ratio = np.exp(seen.log_tokens[known, m]).mean() / np.exp(seen.said_length[known, m]).mean()
            smearing[m] = np.clip(ratio, 1 / _MOST_SMEARING, _MOST_SMEARING) if known.sum() >= _LEAST_ANSWERS else 1.0
    rows, models = np.nonzero(~np.isnan(seen.quality))
    if len(rows) > _MOST_ROWS:
        chosen = np.sort(np.random.default_rng(seed).choice(len(rows), _MOST_ROWS, replace=False))
        rows, models = rows[chosen], models[chosen]
    X = _features(seen.said_quality, surface, rows, models)
    trees = boosted.fit(X, seen.quality[rows, models], seed=seed, shape=_SHAPE)
    return Forecast(words=words, calibrators=tuple(calibrators), trees=trees, smearing=smearing)


def _features(raw: Floats, surface: Features, rows: NDArray[np.int64], models: NDArray[np.int64]) -> Features:
    """(r, F): the query's surface, what its words say of the model and of all models, which model it is."""
    identity = np.zeros((len(rows), raw.shape[1]), dtype=np.float32)
    identity[np.arange(len(rows)), models] = 1.0
    said = np.stack([raw[rows, models], raw.mean(axis=1)[rows]], axis=1)
    return np.concatenate([surface[rows], said, identity], axis=1, dtype=np.float32, casting="same_kind")
