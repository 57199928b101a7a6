"""Logistic regression: trained by scikit-learn, served by numpy.

Knows how a matrix is made fit for it: features are standardised, clipped and, where missing, set to the mean.
"""

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scorer.errors import ArtifactError
from scorer.models.scorer import Features, Floats, is_one_class, logit, smoothed_mean, weighted_classes

_INVERSE_REGULARISATION = 0.03
_FURTHEST = 5.0  # standard deviations: an odd answer must not outvote everything else
_LEAST_SPREAD = 1e-6
_MOST_STEPS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearModel:
    """mean, scale, weights : (F,).   bias : log-odds of an answer that is average in everything."""

    mean: Floats
    scale: Floats
    weights: Floats
    bias: float

    def logits(self, X: Features) -> Floats:
        """(n,) log-odds of (n, F) features; a missing feature counts as an average one."""
        z: Floats = _standardised(X, self.mean, self.scale) @ self.weights + self.bias
        return z

    def parts(self, X: Features) -> Floats:
        """(n, F) what each feature adds to ``bias``."""
        added: Floats = _standardised(X, self.mean, self.scale) * self.weights
        return added

    def dump(self) -> bytes:
        """An npz archive of four arrays."""
        buffer = io.BytesIO()
        np.savez(buffer, mean=self.mean, scale=self.scale, weights=self.weights, bias=np.array([self.bias]))
        return buffer.getvalue()


class ManyLinear:
    """Several linear models, each for rows of its own."""

    def __init__(self, models: Sequence[LinearModel]) -> None:
        self._mean = np.stack([model.mean for model in models])[:, None]
        self._scale = np.stack([model.scale for model in models])[:, None]
        self._weights = np.stack([model.weights for model in models])[:, :, None]
        self._bias = np.array([[model.bias] for model in models])

    def logits(self, X: Features) -> Floats:
        """(m, r) log-odds of (m, r, F) features, block i by model i."""
        z: Floats = (_standardised(X, self._mean, self._scale) @ self._weights)[..., 0] + self._bias
        return z


def fit(X: Features, y: Floats, *, seed: int, share: Floats | None = None) -> LinearModel:
    """Fit to X (n, F) and labels y (n,) in [0, 1]. One class alone gives a constant.

    share : (n,) what each row counts; 1 if not given.
    """
    del seed  # the optimum is unique
    n_features = X.shape[1]
    if is_one_class(y):
        zeros = np.zeros(n_features)
        bias = float(logit(np.array([smoothed_mean(y)]))[0])
        return LinearModel(mean=zeros, scale=np.ones(n_features), weights=zeros, bias=bias)
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - serving never needs it

    mean, scale = _moments(X)
    rows, classes, weights = weighted_classes(y)
    weights = weights if share is None else weights * share[rows]
    model = LogisticRegression(C=_INVERSE_REGULARISATION, max_iter=_MOST_STEPS, tol=1e-3)
    model.fit(_standardised(X, mean, scale)[rows], classes, sample_weight=weights)
    return LinearModel(
        mean=mean,
        scale=scale,
        weights=np.asarray(model.coef_[0], dtype=np.float64),
        bias=float(model.intercept_[0]),
    )


def load(data: bytes) -> LinearModel:
    """Read what ``dump`` wrote. Raises ArtifactError."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            mean, scale, weights = (np.asarray(arrays[key], dtype=np.float64) for key in ("mean", "scale", "weights"))
            bias = float(arrays["bias"][0])
    except (ValueError, KeyError, IndexError, AttributeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ArtifactError(f"a linear model is not readable: {error}") from error
    if not mean.shape == scale.shape == weights.shape or mean.ndim != 1:
        raise ArtifactError("a linear model's arrays must be of one length")
    return LinearModel(mean=mean, scale=scale, weights=weights, bias=bias)


def _moments(X: Features) -> tuple[Floats, Floats]:
    known = ~np.isnan(X)
    count = np.maximum(known.sum(axis=0), 1)
    filled = np.where(known, X, 0.0).astype(np.float64)
    mean = filled.sum(axis=0) / count
    spread = np.sqrt((np.where(known, filled - mean, 0.0) ** 2).sum(axis=0) / count)
    return mean, np.where(spread > _LEAST_SPREAD, spread, 1.0)


def _standardised(X: Features, mean: Floats, scale: Floats) -> Floats:
    Z: Floats = (X - mean) / scale
    np.minimum(np.maximum(Z, -_FURTHEST, out=Z), _FURTHEST, out=Z)
    Z[np.isnan(Z)] = 0.0
    return Z
