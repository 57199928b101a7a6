"""What the answers already paid for say about a model that has not answered yet.

Knows what the models were expected to do, how good the answers seen look by themselves, and who concludes the same.
Every value is a sum, a mean or an extreme over the answers seen: they are a set.
"""

import numpy as np
from numpy.typing import NDArray

from scorer.features.table import AnswerTable

Floats = NDArray[np.float64]

NAMES = (
    *("expected", "accuracy", "seen", "expected_seen", "looks_mean", "looks_best", "looks_worst"),
    *("conclusions", "largest_share", "support_best", "support_second", "support_margin", "of_one_mind"),
    *("stronger_seen", "surprise"),
)


def measure(
    table: AnswerTable,
    rows: NDArray[np.int64],
    models: NDArray[np.int64],
    context: NDArray[np.bool_],
    expected: Floats,
    looks: Floats,
    accuracy: Floats,
) -> Floats:
    """(r, len(NAMES)) values about r pairs of a query and a model that has not answered it.

    rows : (r,) which query.   models : (r,) who has not answered.   context : (r, k) who has.
    expected : (n, k) log-odds before any call.   looks : (n, k) log-odds of each answer by itself, where there is one.
    accuracy : (k,) log-odds that an answer of the model is good.
    """
    known = context & table.present[rows]
    known[np.arange(len(rows)), models] = False
    count = known.sum(axis=1)
    some = np.maximum(count, 1)
    seen = np.where(known, looks[rows], 0.0)
    before = np.where(known, expected[rows], 0.0)
    best, second, clusters, share = _supports(table.conclusions[rows], known, np.maximum(seen, 0.05))
    columns = (
        expected[rows, models],
        accuracy[models],
        count.astype(np.float64),
        before.sum(axis=1) / some,
        seen.sum(axis=1) / some,
        np.where(known, looks[rows], -10.0).max(axis=1),
        np.where(known, looks[rows], 10.0).min(axis=1),
        clusters,
        share,
        best,
        second,
        best - second,
        ((clusters == 1) & (count > 1)).astype(np.float64),
        (known & (accuracy[None, :] > accuracy[models][:, None])).sum(axis=1).astype(np.float64),
        (seen - before).sum(axis=1) / some,
    )
    return np.stack(columns, axis=1)


def _supports(groups: NDArray[np.int32], known: NDArray[np.bool_], weight: Floats) -> tuple[Floats, ...]:
    """Weight of the best and of the second conclusion, how many there are, and the largest one's share of answers."""
    concluded = known & (groups >= 0)
    together = (groups[:, :, None] == groups[:, None, :]) & concluded[:, :, None] & concluded[:, None, :]
    support = np.where(concluded, (together * weight[:, None, :]).sum(axis=2), 0.0)
    leader = support.argmax(axis=1)
    rivals = np.where(together[np.arange(len(groups)), leader], 0.0, support)
    sizes = together.sum(axis=2)
    clusters = np.where(concluded, 1.0 / np.maximum(sizes, 1), 0.0).sum(axis=1)
    share = sizes.max(axis=1, initial=0) / np.maximum(known.sum(axis=1), 1)
    return support.max(axis=1), rivals.max(axis=1), np.round(clusters), share
