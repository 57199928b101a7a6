"""One query on its way through a plan: what is believed after every answer, and whom the plan asks next.

Knows a plan and a scorer. Calls no model: the cascade does, and says what came of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np

from router.outcome import Step
from router.plan import Plan, prompt_tokens
from scorer.answer import Answer, Expectation, Query
from scorer.errors import ScorerError


@runtime_checkable
class Believer(Protocol):
    """What a plan needs of a scorer."""

    def expect(self, query: Query) -> Mapping[str, Expectation]:
        """P(good) and expected completion tokens of every model, before any call. Raises ScorerError."""
        ...

    def believe(self, query: Query, answers: Sequence[Answer]) -> Mapping[str, float]:
        """P(good) of every model's answer, given all answers paid for. Raises ScorerError."""
        ...


@dataclass(slots=True, kw_only=True)
class Course:
    """The steps so far. able : models that can be asked; those that failed are taken out."""

    plan: Plan
    query: Query
    believer: Believer
    able: set[str]
    steps: list[Step] = field(default_factory=list)
    _expected: Mapping[str, Expectation] | None = None

    def decide(self, answers: Sequence[Answer]) -> Step:
        """Whom to ask next, given the answers so far. Raises ScorerError where nothing can be believed."""
        if self._expected is None:
            self._expected = self.believer.expect(self.query)
        known = self.believer.believe(self.query, answers) if answers else None
        models, expected = self.plan.models, self._expected
        try:
            beliefs = np.array([[expected[m].p_good if known is None else known[m] for m in models]])
            tokens = np.array([[expected[m].completion_tokens for m in models]])
        except KeyError as unknown:
            raise ScorerError(f"the scorer says nothing of {unknown}") from unknown
        costs = self.plan.costs(np.array([prompt_tokens(self.query)]), tokens)
        if not np.isfinite(beliefs).all() or not np.isfinite(costs).all():
            raise ScorerError("the scorer's beliefs are not numbers")
        answered = {answer.model for answer in answers}
        state = tuple(place for place, model in enumerate(models) if model in answered)
        able = [model in self.able for model in models]
        weighed = self.plan.weighed(costs)
        chosen = int(self.plan.choose(state, beliefs, weighed, able)[0])
        gains = self.plan.gains(state, beliefs, weighed, able)[0]
        step = Step(
            asked=tuple(models[place] for place in state),
            beliefs=dict(zip(models, beliefs[0].tolist(), strict=True)),
            costs_nanousd=dict(zip(models, costs[0].tolist(), strict=True)),
            gains={m: float(g) for m, g, may in zip(models, gains, able, strict=True) if may and np.isfinite(g)},
            exchange=self.plan.exchange,
            congestion=dict(zip(models, self.plan.congestion, strict=False)),
            chosen=None if chosen < 0 else models[chosen],
        )
        self.steps.append(step)
        return step

    def best(self) -> str | None:
        """The model whose answer is believed in most, the cheapest of equals; None if none answered."""
        step = self.steps[-1]
        return max(step.asked, key=lambda model: step.beliefs[model], default=None)
