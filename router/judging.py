"""What a cascade asks of a scorer, and what becomes of it where the scorer cannot say: never a lost answer.

Knows scorers and how they may fail. Knows no strategy and no call.
"""

import logging
from collections.abc import Iterable, Sequence
from typing import Protocol

from router.outcome import Abstention
from router.planned import Believer
from scorer.answer import Answer, Query
from scorer.errors import ScorerError, UnknownModel
from scorer.familiarity import Doubt

_telemetry = logging.getLogger(__name__)


class AnswerScorer(Protocol):
    """What a cascade needs of a scorer."""

    @property
    def version(self) -> str: ...

    def score(self, query: Query, answer: Answer, others: Sequence[Answer]) -> float:
        """P(the answer is good), given the other answers already paid for. Raises ScorerError."""
        ...

    def doubt(self, query: Query, rate: float) -> Doubt | None:
        """Why no score would be trusted: the query is unlike those that the scorer knows. None if it is not.

        rate : the share of queries like those that may be taken to be unlike; 0 doubts nothing.
        """
        ...


def why_doubted(scorer: AnswerScorer, query: Query, unlike_rate: float) -> Abstention | None:
    """Why no answer to this query could be scored, as far as that is known before any call."""
    try:
        doubt = scorer.doubt(query, unlike_rate)
    except Exception:  # noqa: BLE001  a scorer's bug must not cost the client its answer
        _telemetry.exception("the scorer broke its promise on a query")
        return "scorer_failed"
    return None if doubt is None else doubt.reason


def score_of(
    scorer: AnswerScorer | None, query: Query, answer: Answer, others: Sequence[Answer]
) -> tuple[float | None, Abstention | None]:
    """The score, or None where there is none that could be trusted, and why."""
    if scorer is None:
        return None, "no_scorer"
    try:
        score = scorer.score(query, answer, others)
    except ScorerError as error:
        _telemetry.warning("no score for an answer of %s: %s", answer.model, error)
        return None, "unknown_model" if isinstance(error, UnknownModel) else "scorer_failed"
    except Exception:  # noqa: BLE001  a scorer's bug must not cost the client its answer
        _telemetry.exception("the scorer broke its promise on an answer of %s", answer.model)
        return None, "scorer_failed"
    return (score, None) if 0.0 <= score <= 1.0 else (None, "scorer_failed")  # NaN is not


def doubt_of(scorer: object, query: Query, scores: Iterable[float | None], models: Sequence[str]) -> float:
    """How little the scorer believes, from 0 to 1, that what is at hand will do: of the best answer so far, else of the
    answer that the best of ``models`` would give; 1 where it says nothing of either."""
    best = max((score for score in scores if score is not None), default=None)
    if best is not None:
        return 1.0 - best
    if not isinstance(scorer, Believer):
        return 1.0
    try:
        expected = scorer.expect(query)
        hopes = [expected[model].p_good for model in models if model in expected]
    except Exception:  # noqa: BLE001  a scorer's bug must not cost the client its answer
        _telemetry.exception("the scorer broke its promise on a query")
        return 1.0
    hope = max((hope for hope in hopes if 0.0 <= hope <= 1.0), default=0.0)
    return 1.0 - hope
