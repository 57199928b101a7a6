"""Features that were tried beside agreement and gained nothing: likeness of texts, evidence of pairs, who agrees.

Kept for the ablation that says so. Likeness is from fingerprints of the texts: one-permutation minhash of their
eight-byte runs (Li, Owen and Zhang, NeurIPS 2012). Evidence is a log-likelihood ratio for "m is good" by whether it
concludes what o concludes, from counts on other folds.
"""

import numpy as np
from numpy.typing import NDArray

from scorer.contexts import Samples
from scorer.features.table import AnswerTable
from scorer.models.scorer import Floats

_SLOTS = 64
_EMPTY = np.uint32(0xFFFFFFFF)
_RUN = 8
_LONGEST = 4096  # bytes, half from the head and half from the tail
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_PAIR_SHRINKAGE = 4.0  # answers' worth of the average pair in a pair's rates
_DIFFERS, _AGREES = 0, 1

Sketch = NDArray[np.uint32]


def who_agrees(table: AnswerTable, samples: Samples) -> Floats:
    """(r, k): +1 for a model that concludes the same, -1 for one that concludes something else, 0 for not known."""
    groups, each = table.conclusions[samples.rows], np.arange(len(samples))
    own = groups[each, samples.models][:, None]
    known = samples.context & table.present[samples.rows] & (groups >= 0) & (own >= 0)
    known[each, samples.models] = False
    return np.where(known, np.where(groups == own, 1.0, -1.0), 0.0)


def evidence(table: AnswerTable, quality: Floats, folds: NDArray[np.int64], samples: Samples) -> Floats:
    """(r, 3): total, largest and least log ratio of the answers beside it, from the counts of other folds."""
    signs, own = who_agrees(table, samples), folds[samples.rows]
    found = np.zeros((len(samples), 3))
    for fold in np.unique(folds).tolist():
        kept = folds != fold
        good = np.nan_to_num(quality[kept])
        ratios = log_ratios(pair_counts(table.conclusions[kept], good, table.present[kept]))
        mine = own == fold
        about = ratios[samples.models[mine]]
        each = np.where(signs[mine] > 0, about[..., 1], 0.0) + np.where(signs[mine] < 0, about[..., 0], 0.0)
        found[mine] = np.stack([each.sum(axis=1), each.max(axis=1), each.min(axis=1)], axis=1)
    return found


def likeness(sketches: NDArray[np.uint32], table: AnswerTable, samples: Samples) -> Floats:
    """(r, 2): mean and largest resemblance to the answers beside it, nan where there are none."""
    known = samples.context & table.present[samples.rows]
    known[np.arange(len(samples)), samples.models] = False
    at, to = np.nonzero(known)
    alike = np.full(known.shape, np.nan)
    alike[at, to] = resemblance(sketches[samples.rows[at], samples.models[at]], sketches[samples.rows[at], to])
    some = alike.copy()
    lonely = known.sum(axis=1) == 0
    some[lonely] = 0.0
    found = np.stack([np.nanmean(some, axis=1), np.nanmax(some, axis=1)], axis=1)
    found[lonely] = np.nan
    return found


def sketch(lower: str) -> Sketch:
    """(64,) fingerprint of a lower-case text; every slot _EMPTY for a text of fewer than eight bytes."""
    slots = np.full(_SLOTS, _EMPTY, dtype=np.uint32)
    data = lower.encode("utf-8", "replace")
    if len(data) > _LONGEST:
        data = data[: _LONGEST // 2] + data[-_LONGEST // 2 :]
    if len(data) < _RUN:
        return slots
    # every run of eight bytes as one number, read in place
    runs = np.ndarray((len(data) - _RUN + 1,), dtype="<u8", buffer=data, strides=(1,)) * _MULTIPLIER
    runs ^= runs >> np.uint64(29)
    runs *= _MULTIPLIER
    places = (runs >> np.uint64(58)).astype(np.intp)
    values = ((runs >> np.uint64(20)) & np.uint64(0xFFFFFFFE)).astype(np.uint32)
    np.minimum.at(slots, places, values)
    return slots


def resemblance(one: Sketch, other: Sketch) -> NDArray[np.float64]:
    """(…,) similarity in [0, 1] of (…, 64) fingerprints; 0 where both are empty. Symmetric."""
    used = (one != _EMPTY) | (other != _EMPTY)
    same = (one == other) & used
    share: NDArray[np.float64] = same.sum(axis=-1) / np.maximum(used.sum(axis=-1), 1)
    return share


def pair_counts(conclusions: NDArray[np.int32], good: Floats, labelled: NDArray[np.bool_]) -> Floats:
    """(k, k, 2, 2): how often (m, o) differed or agreed, weighted by m's badness and goodness."""
    k = conclusions.shape[1]
    counts = np.zeros((k, k, 2, 2))
    concluded = conclusions >= 0
    for m in range(k):
        usable = concluded & (concluded[:, m] & labelled[:, m])[:, None]
        same = conclusions == conclusions[:, m, None]
        for index, pattern in ((_DIFFERS, usable & ~same), (_AGREES, usable & same)):
            counts[m, :, index, 0] = pattern.T @ (1.0 - good[:, m])
            counts[m, :, index, 1] = pattern.T @ good[:, m]
        counts[m, m] = 0.0
    return counts


def log_ratios(pairs: Floats) -> Floats:
    """(k, k, 2) from (k, k, 2, 2): log P(pattern | good) − log P(pattern | bad), shrunk to the average pair."""
    pooled = pairs.sum(axis=(0, 1)) + 1.0
    pooled /= pooled.sum(axis=0)
    shrunk = pairs + _PAIR_SHRINKAGE * pooled
    rates = shrunk / shrunk.sum(axis=2, keepdims=True)
    ratios: Floats = np.log(rates[..., 1]) - np.log(rates[..., 0])
    diagonal = np.arange(len(pairs))
    ratios[diagonal, diagonal] = 0.0
    return ratios
