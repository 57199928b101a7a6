"""The port behind which every quality model stands: fit on a matrix, give probabilities, be written as plain data.

Knows arrays and bytes. Knows no feature's meaning, no fold and no calibration.
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float32]
Floats = NDArray[np.float64]


class QualityModel(Protocol):
    """A fitted P(good | features). Implementations: linear, boosted."""

    def logits(self, X: Features) -> Floats:
        """(n,) log-odds of (n, F) features; nan marks a feature that is missing."""
        ...

    def parts(self, X: Features) -> Floats:
        """(n, F) what each feature adds to the log-odds, over those of an average row."""
        ...

    def dump(self) -> bytes:
        """The model as data, for ``load`` of the same module."""
        ...


class Fitter(Protocol):
    """What makes a QualityModel: ``fit`` of each model's module."""

    def __call__(self, X: Features, y: Floats, *, seed: int) -> QualityModel:
        """X : (n, F), nan for missing.   y : (n,) labels in [0, 1]."""
        ...


class Loader(Protocol):
    """What reads a QualityModel back: ``load`` of each model's module. Raises ArtifactError."""

    def __call__(self, data: bytes) -> QualityModel: ...


def logit(p: Floats) -> Floats:
    """Log-odds, finite: probabilities are kept 1e-6 away from 0 and 1."""
    clipped = np.minimum(np.maximum(p, 1e-6), 1 - 1e-6)
    odds: Floats = np.log(clipped) - np.log1p(-clipped)
    return odds


def sigmoid(z: Floats) -> Floats:
    """The inverse of ``logit``, without overflow."""
    clipped = np.minimum(np.maximum(z, -35.0), 35.0)
    p: Floats = 1.0 / (1.0 + np.exp(-clipped))
    return p


def is_one_class(y: Floats) -> bool:
    """Whether there is nothing to tell apart."""
    return y.size == 0 or bool(np.all(y == y[0]))


def smoothed_mean(y: Floats) -> float:
    """Mean label with one good and one bad answer added, so that no log-odds are infinite."""
    return float((y.sum() + 1.0) / (y.size + 2.0))


def weighted_classes(y: Floats) -> tuple[NDArray[np.intp], NDArray[np.int64], Floats]:
    """Rows of two classes that stand for labels in [0, 1]: (row, class, weight); a 0.8 is 0.8 good and 0.2 bad."""
    good, bad = np.flatnonzero(y > 0), np.flatnonzero(y < 1)
    rows = np.concatenate([good, bad])
    classes = np.concatenate([np.ones(len(good), dtype=np.int64), np.zeros(len(bad), dtype=np.int64)])
    return rows, classes, np.concatenate([y[good], 1.0 - y[bad]])


ModelModules = Mapping[str, tuple[Fitter, Loader]]
