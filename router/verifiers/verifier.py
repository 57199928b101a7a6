"""What every verifier is: something that passes or fails an answer, or says nothing of it.

Knows the port. A new verifier is one module, its line in ``build`` and its row in the contract suite.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from router.backends.backend import Reply
from scorer.answer import Answer, Query

Said = Literal["pass", "fail", "abstain"]
Consult = Callable[[str, Mapping[str, Any], float], Awaitable[Reply]]
"""Ask a model with a body, within seconds. The call is reserved and settled. Raises what the call does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a verifier found. reason : in words; never a part of the answer's text."""

    said: Said
    reason: str = ""


class Verifier(Protocol):
    """Asked about one answer. Whatever it raises is an abstention."""

    async def verify(self, query: Query, answer: Answer, consult: Consult) -> Finding:
        """What it finds. consult : for verifiers that ask a model."""
        ...


def abstain(reason: str) -> Finding:
    """Nothing can be said."""
    return Finding(said="abstain", reason=reason)
