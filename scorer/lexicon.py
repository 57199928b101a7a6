"""A query's words as numbers: hashed words and pairs of neighbouring words, with how often each occurs.

Knows text only: no vocabulary, no label and nothing fitted. Two words may share a number, but among two million that
is rare enough not to matter.
"""

import re
from itertools import pairwise
from typing import NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

N_TERMS = 1 << 21

_WORD = re.compile(r"\w+|[^\w\s]")
_MOST_WORDS = 4000


class Terms(NamedTuple):
    """ids : (t,) increasing.   counts : (t,) how often each occurs, dampened: 1 + ln n."""

    ids: NDArray[np.uint32]
    counts: NDArray[np.float32]


def terms_of(text: str) -> Terms:
    """The terms of a text; the first four thousand words of a long one."""
    words = [word.encode("utf-8", "surrogatepass") for word in _WORD.findall(text.casefold())[:_MOST_WORDS]]
    pairs = (b"%b %b" % pair for pair in pairwise(words))
    hashes = [crc32(term) % N_TERMS for term in (*words, *pairs)]
    ids, counts = np.unique(np.array(hashes, dtype=np.uint32), return_counts=True)
    return Terms(ids, (1.0 + np.log(counts)).astype(np.float32))
