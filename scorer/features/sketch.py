"""How alike two texts are, from fingerprints of fixed size: no tokeniser, any script, any length.

Knows bytes. Knows no language and nothing fitted. One-permutation minhash of the text's eight-byte runs (Li, Owen and
Zhang, NeurIPS 2012): the share of equal slots estimates the Jaccard similarity of the sets of runs.
"""

import numpy as np
from numpy.typing import NDArray

SLOTS = 64
EMPTY = np.uint32(0xFFFFFFFF)

_RUN = 8
_LONGEST = 4096  # bytes, half from the head and half from the tail
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)

Sketch = NDArray[np.uint32]


def sketch(lower: str) -> Sketch:
    """(64,) fingerprint of a lower-case text; every slot EMPTY for a text of fewer than eight bytes."""
    slots = np.full(SLOTS, EMPTY, dtype=np.uint32)
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
    used = (one != EMPTY) | (other != EMPTY)
    same = (one == other) & used
    share: NDArray[np.float64] = same.sum(axis=-1) / np.maximum(used.sum(axis=-1), 1)
    return share
