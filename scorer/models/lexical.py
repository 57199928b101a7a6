"""Ridge regression on words: many targets at once, each with gaps of its own, from one set of texts.

Knows terms and numbers. Knows neither what the targets mean nor how they are calibrated. Weights are kept only for
terms that the training texts had, so that an artifact needs no vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorer.lexicon import Terms
from scorer.models.scorer import Features, Floats

_LEAST_TEXTS = 2  # a term that one text alone has says nothing about another
_MOST_STEPS = 60
_EXACT = 1e-3
_DENSE_SHARE = 0.5  # weight of the surface features beside the words
_FURTHEST = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LexicalModel:
    """ids : (u,) increasing terms.   rarity : (u,) their inverse document frequencies.   weights : (u, t).

    mean, scale : (d,) of the dense features.   dense : (d, t).   bias : (t,).
    """

    ids: NDArray[np.uint32]
    rarity: NDArray[np.float32]
    weights: NDArray[np.float32]
    mean: Floats
    scale: Floats
    dense: Floats
    bias: Floats

    def predict(self, texts: Sequence[Terms], surface: Features) -> Floats:
        """(n, t) targets of n texts with their dense features (n, d)."""
        words = np.zeros((len(texts), self.weights.shape[1]))
        for row, terms in enumerate(texts):
            places, values = self.weighed(terms)
            words[row] = values @ self.weights[places]
        result: Floats = words + _dense(surface, self.mean, self.scale) @ self.dense + self.bias
        return result

    def weighed(self, terms: Terms) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Places (among ``ids``) and values of a text's known terms; the values' squares sum to 1."""
        places = np.searchsorted(self.ids, terms.ids)
        known = places < len(self.ids)
        known[known] = self.ids[places[known]] == terms.ids[known]
        places = places[known]
        values = terms.counts[known] * self.rarity[places]
        return places, values / max(float(np.sqrt(values @ values)), 1e-9)


def fit(texts: Sequence[Terms], surface: Features, targets: Floats, *, penalty: float) -> LexicalModel:
    """Fit to n texts, dense features (n, d) and targets (n, t), nan where one is not known."""
    known = ~np.isnan(targets)
    count = np.maximum(known.sum(axis=0), 1)
    bias = np.where(known, targets, 0.0).sum(axis=0) / count
    model = begun(texts, surface, targets.shape[1])
    solution = _solved(design(model, texts, surface), np.where(known, targets - bias, 0.0), known, penalty)
    weights, dense = solution[: len(model.ids)], solution[len(model.ids) :]
    return replace(model, weights=weights.astype(np.float32), dense=dense, bias=bias)


def begun(texts: Sequence[Terms], surface: Features, n_targets: int) -> LexicalModel:
    """A model that knows the terms of n texts and the scale of their dense features (n, d), and says 0 of all."""
    occurring = np.concatenate([terms.ids for terms in texts]) if texts else np.empty(0, dtype=np.uint32)
    ids, n_texts = np.unique(occurring, return_counts=True)
    kept = (n_texts >= _LEAST_TEXTS) & (n_texts < len(texts))
    ids = ids[kept]
    return LexicalModel(
        ids=ids,
        rarity=(1.0 + np.log((1 + len(texts)) / (1 + n_texts[kept]))).astype(np.float32),
        weights=np.zeros((len(ids), n_targets), dtype=np.float32),
        mean=surface.mean(axis=0, dtype=np.float64),
        scale=_scale(surface),
        dense=np.zeros((surface.shape[1], n_targets)),
        bias=np.zeros(n_targets),
    )


def design(model: LexicalModel, texts: Sequence[Terms], surface: Features) -> Any:
    """(n, u + d) sparse: what weights and dense weights are applied to."""
    from scipy import sparse  # noqa: PLC0415 - serving never needs it

    parts = [model.weighed(terms) for terms in texts]
    rows = np.repeat(np.arange(len(texts)), [len(places) for places, _ in parts])
    columns = np.concatenate([places for places, _ in parts]) if parts else np.empty(0, dtype=np.intp)
    values = np.concatenate([values for _, values in parts]) if parts else np.empty(0)
    words = sparse.csr_matrix((values.astype(np.float64), (rows, columns)), shape=(len(texts), len(model.ids)))
    return sparse.hstack([words, sparse.csr_matrix(_dense(surface, model.mean, model.scale))], format="csr")


def _scale(surface: Features) -> Floats:
    spread = surface.std(axis=0, dtype=np.float64)
    return np.where(spread > 1e-6, spread, 1.0)


def _dense(surface: Features, mean: Floats, scale: Floats) -> Floats:
    Z: Floats = np.clip((surface - mean) / scale, -_FURTHEST, _FURTHEST)
    return np.asarray(Z * (_DENSE_SHARE / max(Z.shape[1], 1) ** 0.5))


def _solved(X: Any, targets: Floats, known: NDArray[np.bool_], penalty: float) -> Floats:
    """(F, t) ridge weights by conjugate gradients, all targets at once: (XᵀMX + penalty) W = XᵀY."""
    transposed = X.T.tocsr()
    W = np.zeros((X.shape[1], targets.shape[1]))
    residual = transposed @ targets
    direction = residual.copy()
    size = (residual**2).sum(axis=0)
    enough = size * _EXACT**2 + 1e-30
    for _ in range(_MOST_STEPS):
        if (size <= enough).all():
            break
        image = transposed @ np.where(known, X @ direction, 0.0) + penalty * direction
        step = size / np.maximum((direction * image).sum(axis=0), 1e-30)
        W += step * direction
        residual -= step * image
        fresh = (residual**2).sum(axis=0)
        direction = residual + (fresh / np.maximum(size, 1e-30)) * direction
        size = fresh
    return W
