"""Carrying a strategy out: call, score, accept or go on, and account for every call exactly once.

Knows nothing of prices, HTTP or storage: the log that it opens and closes attempts in is the caller's.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from router.backends.backend import Backend, Call, Chunk
from router.outcome import Attempt, Outcome
from router.strategy import Stage, Strategy
from scorer.answer import Answer, Query


class AnswerScorer(Protocol):
    """What a cascade needs of a scorer."""

    @property
    def version(self) -> str: ...

    def score(self, query: Query, answer: Answer, others: Sequence[Answer]) -> float:
        """P(the answer is good), given the other answers already paid for. Raises ScorerError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """An attempt about to be made."""

    attempt_id: str
    stage: int
    model: str


class AttemptLog(Protocol):
    """Where attempts are reserved before they are dispatched, and settled after."""

    async def open(self, opening: Opening) -> None:
        """Return once the reservation is committed. May raise to refuse: the call is then not made, nor closed."""
        ...

    def close(self, attempt: Attempt) -> None:
        """Settle. Never blocks, never raises; called exactly once for each opening, also on cancellation.

        If ``open`` itself was cancelled, this may name an attempt that was never reserved.
        """
        ...


class Cascade:
    """The one that carries strategies out on the given backends, by model name."""

    def __init__(self, backends: Mapping[str, Backend]) -> None:
        self._backends = backends

    def run(
        self,
        query: Query,
        call: Call,
        strategy: Strategy,
        scorer: AnswerScorer | None,
        log: AttemptLog,
        *,
        live: bool,
    ) -> AsyncGenerator[Chunk | Outcome]:
        """Chunks of a live stream, if any, then exactly one Outcome."""
        raise NotImplementedError


def single(model: str) -> Strategy:
    """The strategy of asking one model and taking what it says."""
    return Strategy(
        id=f"single:{model}",
        kind="threshold",
        stages=(Stage(model=model),),
        reference_model=model,
        safe_model=model,
        scorer_version=None,
        evidence=None,
        created="1970-01-01T00:00:00Z",
    )
