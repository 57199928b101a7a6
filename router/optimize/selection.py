"""The rules by which one strategy is chosen, with caution, and what the choice is worth on queries it did not see.

Knows estimates and their standard errors. Knows no score and no file.

The best of many strategies on a table looks better than it is. Against that every rule judges a strategy by its lower
confidence bound: ``caution`` standard errors below its mean (above, for a cost), where gains and overspends are paired
by query with the reference model, whose own gain is zero without any doubt. So a cascade must be better than the
reference by more than chance to be preferred to it. ``caution=1`` is the "one standard error rule" of Breiman et al.
(Classification and Regression Trees, 1984), turned from a choice among models to a choice among strategies.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from router.errors import StrategyError
from router.optimize.search import Estimates, Sweeps

Goal = Literal["budget-usd-per-1k", "min-quality", "match-best", "max-quality-at-best-cost"]

CAUTION = 0.5
_NANO_PER_QUERY = 1_000_000  # in a US dollar per thousand queries
_SLACK = 1e-9  # sums of labels are not exact


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What is wanted of a strategy.

    budget-usd-per-1k : the best quality for at most ``amount`` US dollars per thousand queries.
    min-quality : the least cost with a quality of at least ``amount``.
    match-best : the least cost with at least the reference model's quality.
    max-quality-at-best-cost : the best quality for at most the reference model's cost.
    """

    goal: Goal
    amount: float | None = None
    caution: float = CAUTION

    def __post_init__(self) -> None:
        if (self.amount is None) != (self.goal in ("match-best", "max-quality-at-best-cost")):
            raise StrategyError(f"{self.goal}: {'needs' if self.amount is None else 'takes no'} amount")
        if self.goal == "budget-usd-per-1k" and self.amount is not None and not 0 < self.amount < np.inf:
            raise StrategyError(f"budget-usd-per-1k: must be above 0, not {self.amount:g}")
        if self.goal == "min-quality" and self.amount is not None and not 0 <= self.amount <= 1:
            raise StrategyError(f"min-quality: must be between 0 and 1, not {self.amount:g}")
        if not 0 <= self.caution < np.inf:
            raise StrategyError(f"caution: must be at least 0 standard errors, not {self.caution:g}")

    @property
    def name(self) -> str:
        """The rule as it is written into a strategy, e.g. ``budget-usd-per-1k=0.5``."""
        return self.goal if self.amount is None else f"{self.goal}={self.amount:g}"


def select(rule: Rule, estimates: Estimates) -> int:
    """The index of the strategy that the rule wants. Raises StrategyError if none will do, saying what would."""
    return _SELECT[rule.goal](rule, estimates)


def _within_budget(rule: Rule, e: Estimates) -> int:
    budget = (rule.amount or 0.0) * _NANO_PER_QUERY
    bound = e.cost + rule.caution * e.cost_se
    if bound.min() > budget:
        least = bound.min() / _NANO_PER_QUERY
        raise StrategyError(f"{rule.name}: no strategy costs that little; the least possible budget is {least:.6g}")
    return _best(e.gain - rule.caution * e.gain_se, e.cost, bound <= budget)


def _above_quality(rule: Rule, e: Estimates) -> int:
    bound = e.quality - rule.caution * e.quality_se
    if bound.max() < (rule.amount or 0.0) - _SLACK:
        raise StrategyError(f"{rule.name}: no strategy reaches that; the most that can be asked is {bound.max():.4f}")
    return _best(-e.cost, -e.gain, bound >= (rule.amount or 0.0) - _SLACK)


def _as_good_as_reference(rule: Rule, e: Estimates) -> int:
    return _best(-e.cost, -e.gain, e.gain - rule.caution * e.gain_se >= -_SLACK)


def _for_the_references_cost(rule: Rule, e: Estimates) -> int:
    bound = e.cost + rule.caution * e.overspend_se
    return _best(e.gain - rule.caution * e.gain_se, e.cost, bound <= e.reference_cost * (1 + _SLACK))


_SELECT: dict[Goal, Callable[[Rule, Estimates], int]] = {
    "budget-usd-per-1k": _within_budget,
    "min-quality": _above_quality,
    "match-best": _as_good_as_reference,
    "max-quality-at-best-cost": _for_the_references_cost,
}


def _best(objective: NDArray[np.float64], price: NDArray[np.float64], allowed: NDArray[np.bool_]) -> int:
    """Highest objective among the allowed, among equals the lowest price, then the first (shorter chains are first)."""
    rows = np.flatnonzero(allowed)
    top = rows[objective[rows] >= objective[rows].max() - _SLACK]
    return int(top[np.argmin(price[top])])


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """What the rule's choices brought on folds that they were not made on. A lower estimate than the table's own.

    saving : share of the reference's cost.   quality_delta : against the reference.
    """

    saving: float
    quality_delta: float
    folds: int


def cross_validate(rule: Rule, candidates: Sweeps) -> HeldOut | None:
    """Choose without each part of ``candidates`` in turn, and judge the choice on that part.

    None where there are fewer than two parts, one of them is empty, or the rule cannot be met without some part.
    """
    parts = len(candidates.part_sizes)
    if parts < 2 or not candidates.part_sizes.all():
        return None
    gain = cost = reference = 0.0
    for part in range(parts):
        try:
            chosen = select(rule, candidates.estimates(without=part))
        except StrategyError:
            return None
        seen = candidates.estimates(only=part)
        size = float(candidates.part_sizes[part])
        gain += size * float(seen.gain[chosen])
        cost += size * float(seen.cost[chosen])
        reference += size * seen.reference_cost
    n = float(candidates.part_sizes.sum())
    return HeldOut(saving=1 - cost / reference if reference else 0.0, quality_delta=gain / n, folds=parts)
