"""What kind of query one is: a multinomial logistic regression on its words, over the categories that a log has.

Knows queries' words and surface. Knows no answer and no label of quality. Where a log names its queries' tasks these
are the categories; otherwise groups of queries with like words are, found by k-means. The regression has to tell them
from the words alone, for a query that is asked comes without a task.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scorer.errors import TooLittleData
from scorer.lexicon import Terms
from scorer.models import lexical
from scorer.models.lexical import LexicalModel
from scorer.models.scorer import Features, Floats

LEAST_QUERIES = 30  # of one category: fewer say nothing about which models are good at it
_INVERSE_REGULARISATION = 10.0
_MOST_STEPS = 200
_MOST_CLUSTERS, _PER_CLUSTER, _DIMENSIONS = 8, 50, 32
_NEVER = -30.0  # log-odds of a category that a part of the log lacks


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """The likeliest category of a query, and how likely it is."""

    name: str
    p: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """names : the categories.   labels : (n,) of each query its category, −1 for none."""

    names: tuple[str, ...]
    labels: NDArray[np.intp]


def find(tasks: Sequence[str | None], texts: Sequence[Terms], surface: Features, *, seed: int) -> Found:
    """The categories of a log: tasks with enough queries, where there are two or more, else clusters.

    Raises TooLittleData where there are neither.
    """
    counts = Counter(task for task in tasks if task is not None)
    names = tuple(sorted(task for task, count in counts.items() if count >= LEAST_QUERIES))
    if len(names) > 1:
        place = {name: index for index, name in enumerate(names)}
        return Found(names=names, labels=np.array([place.get(task or "", -1) for task in tasks], dtype=np.intp))
    n_clusters = min(_MOST_CLUSTERS, len(texts) // _PER_CLUSTER)
    if n_clusters < 2:
        raise TooLittleData(
            f"categories take two tasks of {LEAST_QUERIES} queries each, or {2 * _PER_CLUSTER} queries in all"
        )
    from sklearn.cluster import KMeans  # noqa: PLC0415 - serving never needs it
    from sklearn.decomposition import TruncatedSVD  # noqa: PLC0415

    X = lexical.design(lexical.begun(texts, surface, 1), texts, surface)
    reduced = TruncatedSVD(min(_DIMENSIONS, X.shape[1] - 1), random_state=seed).fit_transform(X)
    labels = KMeans(n_clusters, n_init=4, random_state=seed).fit_predict(reduced)
    order = np.argsort(-np.bincount(labels, minlength=n_clusters), kind="stable")  # the largest is the first
    place_of = np.empty(n_clusters, dtype=np.intp)
    place_of[order] = np.arange(n_clusters)
    return Found(names=tuple(f"cluster-{n + 1}" for n in range(n_clusters)), labels=place_of[labels])


def fit(texts: Sequence[Terms], surface: Features, labels: NDArray[np.intp], n_categories: int) -> LexicalModel:
    """A model of log-odds by category, fitted to n texts, dense features (n, d) and labels (n,), −1 left out."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - serving never needs it

    kept = np.flatnonzero(labels >= 0)
    texts, surface, labels = [texts[row] for row in kept.tolist()], surface[kept], labels[kept]
    model = lexical.begun(texts, surface, n_categories)
    known = np.unique(labels)
    weights = np.zeros((len(model.ids) + surface.shape[1], n_categories))
    bias = np.full(n_categories, _NEVER)
    if len(known) < 2:
        bias[known] = 0.0
    else:
        regression = LogisticRegression(C=_INVERSE_REGULARISATION, max_iter=_MOST_STEPS, tol=1e-3)
        regression.fit(lexical.design(model, texts, surface), labels)
        two = len(known) == 2  # of two categories one alone has coefficients
        weights[:, known[1:] if two else known] = regression.coef_.T
        bias[known[1:] if two else known] = regression.intercept_
        bias[known[0]] = 0.0 if two else bias[known[0]]
    words = len(model.ids)
    return replace(model, weights=weights[:words].astype(np.float32), dense=weights[words:], bias=bias)


def probabilities(model: LexicalModel, texts: Sequence[Terms], surface: Features) -> Floats:
    """(n, c) of each query's categories."""
    z = model.predict(texts, surface)
    odds = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def likeliest(names: Sequence[str], p: Floats) -> Category:
    """Of (c,) probabilities."""
    place = int(p.argmax())
    return Category(name=names[place], p=float(p[place]))
