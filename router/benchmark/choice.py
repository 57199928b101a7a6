"""Which setting of a method is chosen, by what it brought on the queries it was fitted on, for one set or several.

Knows estimates with errors and rules. Looks at no held query.

A gain is counted half by labels and half by beliefs. Several sets can be chosen for each by itself, or pooled: one
exchange rate between quality and each reference's cost for all, held to the mean gain over sets, where no set's own
estimate may fall below ``FLOOR``. Where nothing will do, a set's reference answers alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from router.benchmark.methods import Floats, Runs

Goal = Literal["match", "most"]
"""match: the least cost with the reference's quality.   most: the most quality within the reference's cost."""

ALONE = -1  # the reference, instead of any setting
FLOOR = -0.01
CAUTION = 0.5
_LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)

__all__ = ["ALONE", "CAUTION", "FLOOR", "Estimate", "Goal", "by_set", "estimate", "pooled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Of g settings on one set: gain over the reference with its standard error, and cost as a share of its."""

    gain: Floats
    error: Floats
    cost: Floats


def estimate(runs: Runs, reference_quality: Floats, reference_belief: Floats, reference_cost: Floats) -> Estimate:
    """From (g, n) runs and the reference's (n,) labels, beliefs and costs."""
    by_label = runs.quality - reference_quality
    by_belief = np.where(np.isnan(runs.belief), by_label, runs.belief - reference_belief)
    gain = (by_label + by_belief) / 2
    n = gain.shape[1]
    spread = np.sqrt((gain.var(axis=1) + 1 / n) / n)  # as if one more query had gone otherwise
    return Estimate(gain=gain.mean(axis=1), error=spread, cost=runs.cost.mean(axis=1) / reference_cost.mean())


def by_set(found: Estimate, goal: Goal, caution: float) -> int:
    """The setting for one set by itself, or ALONE."""
    bound = found.gain - caution * found.error
    if goal == "match":
        allowed = np.flatnonzero((bound >= 0) & (found.cost < 1))
        return int(allowed[found.cost[allowed].argmin()]) if allowed.size else ALONE
    allowed = np.flatnonzero((found.cost <= 1) & (bound > 0))
    return int(allowed[bound[allowed].argmax()]) if allowed.size else ALONE


def pooled(found: Mapping[str, Estimate], goal: Goal, caution: float, floor: float = FLOOR) -> dict[str, int]:
    """The settings for several sets at once, or ALONE for each."""
    best: dict[str, int] = dict.fromkeys(found, ALONE)
    best_cost, best_gain = 1.0, 0.0
    for index in range(len(next(iter(found.values())).gain)):
        chosen = {name: _held(estimate, index, goal, floor) for name, estimate in found.items()}
        picked = [(found[name], i) for name, i in chosen.items() if i != ALONE]
        gain = sum(float(e.gain[i]) for e, i in picked) / len(found)
        error = float(np.sqrt(sum(float(e.error[i]) ** 2 for e, i in picked))) / len(found)
        cost = (sum(float(e.cost[i]) for e, i in picked) + len(found) - len(picked)) / len(found)
        bound = gain - caution * error
        better = bound >= 0 and cost < best_cost if goal == "match" else cost <= 1 and bound > best_gain
        if better:
            best, best_cost, best_gain = chosen, cost, bound
    return best


def _held(found: Estimate, index: int, goal: Goal, floor: float) -> int:
    """The setting itself, or the next dearer one whose gain is above the floor."""
    for dearer in range(index, -1, -1):
        if found.gain[dearer] >= floor and (found.cost[dearer] < 1 or goal == "most"):
            return dearer
    return ALONE


def levels() -> Sequence[float]:
    """Cautions that are shown beside each other."""
    return _LEVELS
