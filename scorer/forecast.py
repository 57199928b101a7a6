"""Before any call: how likely each model is to answer a query well, and how many tokens its answer will take.

Knows the query alone: its words and its surface. Knows no answer. Probabilities are calibrated and lengths corrected on
queries that the models behind them did not see.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scorer.calibration import Calibrator, calibrate
from scorer.lexicon import Terms
from scorer.models import lexical
from scorer.models.lexical import LexicalModel
from scorer.models.scorer import Features, Floats, logit

_PENALTY = 10.0
_LEAST_ANSWERS = 8  # of a model, without which it is not told apart from the others
_MOST_SMEARING = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """quality, length : one target a model.   calibrators : by model.

    smearing : (k,) mean length over exp of mean log.
    """

    quality: LexicalModel
    length: LexicalModel
    calibrators: tuple[Calibrator, ...]
    smearing: Floats

    def p_good(self, texts: Sequence[Terms], surface: Features) -> Floats:
        """(n, k) calibrated P(good) of every model's answer to n queries."""
        raw = self.quality.predict(texts, surface)
        columns = [calibrator(logit(raw[:, m])) for m, calibrator in enumerate(self.calibrators)]
        return np.stack(columns, axis=1) if columns else raw

    def completion_tokens(self, texts: Sequence[Terms], surface: Features) -> Floats:
        """(n, k) expected completion tokens of every model's answer to n queries."""
        tokens: Floats = np.exp(np.clip(self.length.predict(texts, surface), 0.0, 14.0)) * self.smearing
        return tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """The two lexical models before they are calibrated."""

    quality: LexicalModel
    length: LexicalModel


def fit(texts: Sequence[Terms], surface: Features, quality: Floats, log_tokens: Floats) -> Raw:
    """Fit to n queries, labels (n, k) and log completion tokens (n, k), nan where there is none."""
    return Raw(
        quality=lexical.fit(texts, surface, quality, penalty=_PENALTY),
        length=lexical.fit(texts, surface, log_tokens, penalty=_PENALTY),
    )


def finished(raw: Raw, unseen_quality: Floats, quality: Floats, unseen_length: Floats, log_tokens: Floats) -> Forecast:
    """A forecast from its raw models and from what others like them said of queries that those did not see.

    unseen_quality, unseen_length : (n, k) raw predictions.   quality, log_tokens : (n, k) what came of it.
    """
    calibrators = []
    smearing = np.ones(quality.shape[1])
    for m in range(quality.shape[1]):
        known = ~np.isnan(quality[:, m])
        calibrators.append(calibrate(logit(unseen_quality[known, m]), quality[known, m], "platt"))
        known = ~np.isnan(log_tokens[:, m])
        if known.sum() >= _LEAST_ANSWERS:
            ratio = np.exp(log_tokens[known, m]).mean() / np.exp(unseen_length[known, m]).mean()
            smearing[m] = np.clip(ratio, 1 / _MOST_SMEARING, _MOST_SMEARING)
    return Forecast(quality=raw.quality, length=raw.length, calibrators=tuple(calibrators), smearing=smearing)
