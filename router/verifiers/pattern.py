"""Does an answer hold a pattern, or none of it?

Knows regular expressions. A pattern that takes too long on a text (catastrophic backtracking) is stopped: that is an
abstention. It is matched in a thread that lets the others go on.
"""

import asyncio

import regex

from router.errors import VerifierError
from router.verifiers.verifier import Consult, Finding, abstain
from scorer.answer import Answer, Query

_SECONDS = 0.2


class PatternVerifier:
    """wanted : whether the pattern must be found, or must not be."""

    def __init__(self, pattern: str, *, wanted: bool = True) -> None:
        self._pattern, self._wanted = pattern, wanted
        _compiled(pattern)

    async def verify(self, query: Query, answer: Answer, consult: Consult) -> Finding:
        """Search the text."""
        try:
            found = await asyncio.to_thread(found_in, self._pattern, answer.text)
        except TimeoutError:
            return abstain("the pattern takes too long on this text")
        if found == self._wanted:
            return Finding(said="pass")
        return Finding(said="fail", reason="the pattern is not found" if self._wanted else "the pattern is found")


def found_in(pattern: str, text: str) -> bool:
    """Raises TimeoutError after a fifth of a second, VerifierError for what is no pattern."""
    return _compiled(pattern).search(text, timeout=_SECONDS, concurrent=True) is not None


def _compiled(pattern: str) -> "regex.Pattern[str]":
    try:
        return regex.compile(pattern)
    except (regex.error, RecursionError) as error:
        raise VerifierError(f"is no regular expression: {error}") from error
