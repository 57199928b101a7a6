"""Tokens of the simulated models: pieces of text, each with how sure the model was of it.

Knows how text is cut into pieces and how doubt becomes a log-probability. Knows no task and no wire format.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

_PIECE = re.compile(r" ?[^\W\d_]{1,5}| ?\d{1,2}|\s+| ?[^\w\s]|.", re.DOTALL)
_PER_MESSAGE, _PER_REPLY = 4, 3  # what chat formats add around the texts


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of an answer with the natural log of the probability that it had."""

    text: str
    logprob: float


@dataclass(frozen=True, slots=True)
class Saying:
    """A stretch of text of which the speaker is equally sure. ``doubt`` in [0, 1]: 0 is sure."""

    text: str
    doubt: float = 0.0


def pieces(text: str) -> list[str]:
    """The text cut into token-sized pieces; joined, they are the text."""
    return _PIECE.findall(text)


def prompt_tokens(messages: Sequence[Mapping[str, object]]) -> int:
    """How many tokens a chat prompt counts, with what a chat format adds."""
    return _PER_REPLY + sum(_PER_MESSAGE + len(pieces(plain(message.get("content")))) for message in messages)


def plain(content: object) -> str:
    """The text of a message's content, whether it came as a string or in parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(str(part["text"]) for part in content if isinstance(part, Mapping) and "text" in part)
    return ""


def uttered(sayings: Sequence[Saying], rng: Random) -> tuple[Token, ...]:
    """The sayings as tokens. Doubt lowers log-probabilities on the average; single tokens vary widely about it."""
    return tuple(
        Token(piece, -min(12.0, rng.expovariate(1.0) * (0.03 + 0.9 * saying.doubt) * math.exp(rng.gauss(0, 0.5))))
        for saying in sayings
        for piece in pieces(saying.text)
    )
