"""Listening to an answer that nobody may see yet, until its beginning is good enough to let it go.

Knows chunks, lengths and a scorer. Knows no threshold of whole answers and no client.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from scorer.answer import Query

_telemetry = logging.getLogger(__name__)

Judge = Callable[[str], float | None]
"""The score of a beginning, None where there is none."""


@runtime_checkable
class PrefixScorer(Protocol):
    """What letting an answer go early needs of a scorer."""

    @property
    def prefix_lengths(self) -> tuple[int, ...]:
        """In characters, ascending; maybe none."""
        ...

    def score_prefix(self, query: Query, model: str, text: str) -> float:
        """P(the answer that begins so is good). Raises ScorerError."""
        ...


@dataclass(slots=True, kw_only=True)
class Watch:
    """One answer under way. lengths : at which it is judged, ascending.   threshold : that lets it go.

    It never lets an answer go that calls tools or has several choices: those are judged whole.
    """

    lengths: tuple[int, ...]
    threshold: float
    judge: Judge
    text: str = ""
    given_up: bool = False
    _next: int = 0

    def hear(self, chunk: Mapping[str, Any]) -> float | None:
        """The score that lets the answer go, once there is one; None until then."""
        for choice in chunk.get("choices") or ():
            delta = choice.get("delta") if isinstance(choice, Mapping) else None
            if not isinstance(delta, Mapping):
                continue
            if choice.get("index", 0) != 0 or delta.get("tool_calls") or delta.get("function_call"):
                self.given_up = True
            content = delta.get("content")
            if isinstance(content, str):
                self.text += content
            elif content:
                self.given_up = True
        while not self.given_up and self._next < len(self.lengths) and len(self.text) > self.lengths[self._next]:
            score = self.judge(self.text[: self.lengths[self._next]])
            self._next += 1
            if score is not None and score >= self.threshold:
                return score
        return None


def judges_beginnings(scorer: object) -> PrefixScorer | None:
    """The scorer, if it can; else None."""
    return scorer if isinstance(scorer, PrefixScorer) and scorer.prefix_lengths else None


def watching(scorer: object, query: Query, model: str, release: float) -> Callable[[], Watch] | None:
    """What makes a watch for each call of a model; None where the scorer judges no beginnings."""
    able = judges_beginnings(scorer)
    if able is None:
        return None
    lengths, score = able.prefix_lengths, able.score_prefix

    def judge(text: str) -> float | None:
        try:
            return score(query, model, text)
        except Exception:  # noqa: BLE001  then the answer is judged when it is whole
            _telemetry.exception("no score for the beginning of an answer of %s", model)
            return None

    return lambda: Watch(lengths=lengths, threshold=release, judge=judge)
