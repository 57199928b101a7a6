"""What the other answers already paid for say about an answer: who concludes the same, who something else.

Knows an answer table and what an experience says. The others are a set: every value is a sum, a mean or an extreme
over them.
"""

import numpy as np
from numpy.typing import NDArray

from scorer.features.experience import Facts
from scorer.features.table import AnswerTable

Floats = NDArray[np.float64]

NAMES = (
    *("others", "others_concluded", "agreeing", "differing", "agreeing_share"),
    *("agreeing_weight", "differing_weight", "vote_margin", "best_agreeing", "best_differing"),
    *("stronger_agree", "stronger_differ", "rivals", "rival_size", "rival_weight"),
    *("relative_log_chars", "best_other"),
)


def measure(
    table: AnswerTable,
    rows: NDArray[np.int64],
    models: NDArray[np.int64],
    context: NDArray[np.bool_],
    facts: Facts,
) -> Floats:
    """Agreement of r answers with their contexts.

    rows : (r,) which query.   models : (r,) whose answer.   context : (r, k) whose other answers are known; answers
    that are not there, and the answer itself, do not count.
    Returns (r, len(NAMES)) values, nan where nothing can be compared.
    """
    each = np.arange(len(rows))
    known = context & table.present[rows]
    known[each, models] = False
    groups = table.conclusions[rows]
    own = groups[each, models]
    comparable = known & (groups >= 0) & (own >= 0)[:, None]
    same = comparable & (groups == own[:, None])
    other = comparable & ~same
    accuracy = facts.accuracies
    weight = _weight(accuracy)
    own_accuracy = accuracy[each, models]
    columns = (
        *_votes(known & (groups >= 0), known, same, other, accuracy, own_accuracy, weight, weight[each, models]),
        *_rivals(groups, other, weight),
        *_company(table, rows, models, known, accuracy),
    )
    return np.stack(columns, axis=1)


def _votes(
    concluded: NDArray[np.bool_],
    known: NDArray[np.bool_],
    same: NDArray[np.bool_],
    other: NDArray[np.bool_],
    accuracy: Floats,
    own_accuracy: Floats,
    weight: Floats,
    own_weight: Floats,
) -> tuple[Floats, ...]:
    n_same, n_other = same.sum(axis=1), other.sum(axis=1)
    n_compared = n_same + n_other
    for_it, against = (weight * same).sum(axis=1), (weight * other).sum(axis=1)
    stronger = accuracy > own_accuracy[:, None]
    return (
        known.sum(axis=1).astype(np.float64),
        concluded.sum(axis=1).astype(np.float64),
        n_same.astype(np.float64),
        n_other.astype(np.float64),
        np.where(n_compared > 0, n_same / np.maximum(n_compared, 1), np.nan),
        for_it,
        against,
        for_it - against + own_weight,
        _largest(accuracy, same),
        _largest(accuracy, other),
        (same & stronger).sum(axis=1).astype(np.float64),
        (other & stronger).sum(axis=1).astype(np.float64),
    )


def _rivals(groups: NDArray[np.int32], other: NDArray[np.bool_], weight: Floats) -> tuple[Floats, ...]:
    """How many different other conclusions there are, and the size and weight of the largest."""
    together = (groups[:, :, None] == groups[:, None, :]) & other[:, :, None] & other[:, None, :]
    sizes = together.sum(axis=2)
    weights = (together * weight[:, None, :]).sum(axis=2)
    n_rivals = np.where(other, 1.0 / np.maximum(sizes, 1), 0.0).sum(axis=1)
    return n_rivals, sizes.max(axis=1).astype(np.float64), weights.max(axis=1)


def _company(
    table: AnswerTable, rows: NDArray[np.int64], models: NDArray[np.int64], known: NDArray[np.bool_], accuracy: Floats
) -> tuple[Floats, ...]:
    """How much longer than the others' the answer is, and how good the best of them usually is."""
    count = known.sum(axis=1)
    lengths = table.log_chars[rows].astype(np.float64)
    theirs = np.where(known, lengths, 0.0).sum(axis=1) / np.maximum(count, 1)
    relative = np.where(count > 0, lengths[np.arange(len(rows)), models] - theirs, np.nan)
    return relative, _largest(accuracy, known)


def _largest(values: Floats, mask: NDArray[np.bool_]) -> Floats:
    """Largest value under the mask, nan where the mask is empty."""
    best: Floats = np.where(mask, values, -1.0).max(axis=1)
    return np.where(best < 0, np.nan, best)


def _weight(accuracy: Floats) -> Floats:
    """A vote's weight: log-odds of being right, never against the voter's own conclusion."""
    return np.maximum(_logit(accuracy), 0.05)


def _logit(p: Floats) -> Floats:
    clipped = np.clip(p, 0.01, 0.99)
    odds: Floats = np.log(clipped) - np.log1p(-clipped)
    return odds
