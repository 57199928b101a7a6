"""A query's words, word pairs, characters, scripts and length, in the form in which queries are compared with a log.

Knows text. Knows no answer and nothing fitted: hashing needs no vocabulary. Its time is bounded whatever the length.
"""

import re
import zlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log1p

import numpy as np
from numpy.typing import NDArray

from scorer.answer import Message
from scorer.features.query import content_text

BUCKETS = 1 << 16
_LONGEST = 4000  # characters that are looked at: head and tail
_TOKEN = re.compile(r"[^\W\d_]{2,}|\d+|[^\w\s]|\w")
_PAIR = np.int64(1_000_003)
_MOST_KEPT = 200_000

_CLASSES = ("0123456789", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "\\$", "\n", "()[]{}=", ".,;:!?", " \t")
_BYTES = np.zeros((len(_CLASSES) + 1, 256))
for _row, _characters in enumerate(_CLASSES):
    _BYTES[_row, [ord(character) for character in _characters]] = 1
_BYTES[-1, 128:] = 1

_SCRIPTS = (
    *((0x0, "latin"), (0x370, "greek"), (0x400, "cyrillic"), (0x530, "armenian"), (0x590, "hebrew"), (0x600, "arabic")),
    *((0x700, "other"), (0x900, "indic"), (0xE00, "thai"), (0xE80, "other"), (0x1100, "hangul"), (0x1200, "other")),
    *((0x1E00, "latin"), (0x1F00, "greek"), (0x2000, "other"), (0x2C60, "latin"), (0x2C80, "other"), (0x3040, "kana")),
    *((0x3100, "han"), (0xA000, "other"), (0xAC00, "hangul"), (0xD800, "other"), (0xF900, "han"), (0xFB00, "other")),
    *((0xFF21, "latin"), (0xFF66, "kana"), (0xFFA0, "other"), (0x20000, "han"), (0x30000, "other")),
)
_STARTS = tuple(start for start, _ in _SCRIPTS)
SCRIPTS = tuple(sorted({script for _, script in _SCRIPTS}))

_buckets: dict[str, int] = {}  # codes of the tokens seen last, never 0; what a token hashes to never changes


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """What is compared of a query.

    words, pairs : buckets of the words, and of the neighbouring tokens, that occur; each once, in order.
    surface : (len(SURFACE),) how often kinds of characters occur, in logarithms of their shares, and the length.
    scripts : share of the letters by script.   n_chars : full length.
    """

    words: NDArray[np.int64]
    pairs: NDArray[np.int64]
    surface: NDArray[np.float64]
    scripts: Mapping[str, float]
    n_chars: int


SURFACE = ("digits", "capitals", "latex", "lines", "brackets", "punctuation", "spaces", "not ASCII", "length")


def read_wording(messages: Sequence[Message]) -> Wording:
    """Read all messages of a query as one text. Any messages will do, however odd."""
    full = "\n".join(content_text(message.get("content")) for message in messages)
    text = full if len(full) <= _LONGEST else full[: _LONGEST // 2] + "\n" + full[-_LONGEST // 2 :]
    tokens = _TOKEN.findall(text.casefold())
    codes = np.array([_buckets.get(token) or _code(token) for token in tokens], dtype=np.int64)
    ids, worded = codes >> 1, (codes & 1).astype(np.bool_)
    raw = np.frombuffer(text.encode("utf-8", "replace"), dtype=np.uint8)
    counts = _BYTES @ np.bincount(raw, minlength=256)
    return Wording(
        words=np.unique(ids[worded]),
        pairs=np.unique((ids[:-1] * 31 + ids[1:] * _PAIR) % BUCKETS),
        surface=np.append(np.log((counts + 1) / (len(raw) + 20)), log1p(len(full))),
        scripts=_scripts(text),
        n_chars=len(full),
    )


def _code(token: str) -> int:
    """Twice the token's bucket, plus 1 for a word. Numbers are all alike: what a query is about is not told by them."""
    number = token.isdigit()
    bucket = zlib.crc32(("0" if number else token).encode("utf-8", "replace")) % (BUCKETS - 1) + 1
    if len(_buckets) >= _MOST_KEPT:
        _buckets.clear()
    _buckets[token] = code = 2 * bucket + (len(token) > 1 and not number)
    return code


def _scripts(text: str) -> dict[str, float]:
    if text.isascii():
        return {"latin": 1.0}
    letters = [character for character in text if character.isalpha()]
    found: dict[str, int] = {}
    for character in letters:
        script = "latin" if character < "\u0370" else _SCRIPTS[bisect_right(_STARTS, ord(character)) - 1][1]
        found[script] = found.get(script, 0) + 1
    return {script: count / len(letters) for script, count in found.items()} or {"latin": 1.0}
