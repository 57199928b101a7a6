"""What moved the scores of a decision's answers, found out anew from its transcript.

Knows transcripts and scorers that can tell. Knows no HTML.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from gateway.ledger.decisions import DecisionReport
from gateway.transcripts.store import QUESTION
from scorer.answer import Answer, Query
from scorer.errors import ScorerError
from scorer.reasons import Reason

_SHOWN = 6
_log = logging.getLogger("spillway.dashboard")


@runtime_checkable
class Explains(Protocol):
    """A scorer that can say what moved it."""

    def reasons(self, query: Query, answer: Answer, others: Sequence[Answer]) -> tuple[Reason, ...]:
        """The weightiest first."""
        ...


def reasons_of(report: DecisionReport, said: Mapping[str, Any], scorer: object) -> dict[str, tuple[Reason, ...]]:
    """By attempt, of answers that were scored: each beside those that were there when it was judged.

    scorer : the one that judged them; None, or one that cannot tell, tells nothing.
    """
    asked = said.get(QUESTION)
    if not isinstance(scorer, Explains) or asked is None:
        return {}
    query = Query(
        id=report.decision_id,
        messages=tuple(asked["messages"]),
        tools=tuple(asked.get("tools") or ()),
        response_format=asked.get("response_format"),
    )
    found: dict[str, tuple[Reason, ...]] = {}
    before: list[Answer] = []
    for attempt in report.attempts:
        told = said.get(attempt.attempt_id)
        if told is None or attempt.kind != "answer":
            continue
        answer = _answer(attempt.model, told)
        if attempt.score is not None:
            try:
                found[attempt.attempt_id] = scorer.reasons(query, answer, before)[:_SHOWN]
            except ScorerError as error:  # of a model that it does not know any more, say
                _log.info("what moved a score cannot be told: %s", error)
        before.append(answer)
    return found


def _answer(model: str, told: Mapping[str, Any]) -> Answer:
    logprobs = told.get("token_logprobs")
    return Answer(
        model=model,
        text=told.get("text", ""),
        tool_calls=tuple(told.get("tool_calls") or ()),
        finish_reason=told.get("finish_reason"),
        token_logprobs=None if logprobs is None else tuple(logprobs),
    )
