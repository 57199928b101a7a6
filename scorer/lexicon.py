"""A query's words as numbers: hashed words and pairs of neighbouring words, with how often each occurs.

Knows text only: no vocabulary, no label and nothing fitted. The words of answer options are told apart from those of
the question, and its last words count once more: they say what is asked. Two terms may share a number, but among two
million that is rare enough not to matter.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

N_TERMS = 1 << 21

_WORD = re.compile(r"\w+|[^\w\s]")
_MOST_WORDS = 4000
_LAST_WORDS, _FIRST_WORDS = 6, 3


class Terms(NamedTuple):
    """ids : (t,) increasing.   counts : (t,) how often each occurs, dampened: 1 + ln n."""

    ids: NDArray[np.uint32]
    counts: NDArray[np.float32]


def terms_of(question: str, options: Iterable[str] = ()) -> Terms:
    """The terms of a text and of its answer options; the first four thousand words of a long one."""
    words = _words(question)
    terms = [*_tagged(b"q", words)]
    terms += [b"last:%b" % word for word in words[-_LAST_WORDS:]]
    terms += [b"first:%b" % word for word in words[:_FIRST_WORDS]]
    for option in options:
        terms += _tagged(b"o", _words(option))
    hashes = [crc32(term) % N_TERMS for term in terms]
    ids, counts = np.unique(np.array(hashes, dtype=np.uint32), return_counts=True)
    return Terms(ids, (1.0 + np.log(counts)).astype(np.float32))


def _words(text: str) -> list[bytes]:
    return [word.encode("utf-8", "surrogatepass") for word in _WORD.findall(text.casefold())[:_MOST_WORDS]]


def _tagged(tag: bytes, words: Sequence[bytes]) -> Iterable[bytes]:
    yield from (b"%b:%b" % (tag, word) for word in words)
    yield from (b"%b:%b %b" % (tag, *pair) for pair in pairwise(words))
