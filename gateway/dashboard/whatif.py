"""What another first threshold would have cost and brought on the newest requests of a policy.

Requests whose first answer was scored are gone through again: with a threshold above its score the answer would have
been rejected. What was paid after a rejection is known where it was rejected; elsewhere it is the reference's cost of
the same request times what going on has cost in parts of it. Quality is what the scorer believes, and of answers that
it did not score the reference model's mean quality on the strategy's data: nothing of it is measured.
Knows arithmetic. Knows no page.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.ledger.newest import Seen, SeenCall

_Z = 1.96
FEWEST = 20  # requests; of fewer nothing is said

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """At one threshold. Costs are nano-USD of a request on average; low and high hold 95 % of other such requests."""

    threshold: float
    accepted: float
    cost: float
    cost_low: float
    cost_high: float
    quality: float | None
    quality_low: float | None
    quality_high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trials:
    """Requests gone through again.

    score, first : (n,) of the first answer, and its cost.   onward : (n,) what going on costs.   believed : (n,) the
    quality of what comes of it, nan where nothing is known.   guessed : of how many ``onward`` is not what was paid.
    """

    score: Floats
    first: Floats
    onward: Floats
    believed: Floats
    guessed: int

    @property
    def n(self) -> int:
        """How many."""
        return len(self.score)

    def at(self, threshold: float) -> Outlook:
        """What this first threshold would have come to."""
        escalates = self.score < threshold
        cost = self.first + np.where(escalates, self.onward, 0.0)
        low, mean, high = _interval(cost)
        quality = np.where(escalates, self.believed, self.score)
        known = not np.isnan(quality).any()
        qualities = _interval(quality) if known else (None, None, None)
        return Outlook(
            threshold=threshold,
            accepted=float(1 - escalates.mean()),
            cost=mean,
            cost_low=max(0.0, low),
            cost_high=high,
            quality=qualities[1],
            quality_low=None if qualities[0] is None else max(0.0, qualities[0]),
            quality_high=None if qualities[2] is None else min(1.0, qualities[2]),
        )


def trials(newest: Sequence[Seen], model: str, reference_quality: float | None) -> Trials | None:
    """Of the requests that can be gone through again; None where they are too few.

    model : of the first tier.
    reference_quality : of the strategy's reference model on the data that it was chosen on.
    """
    usable = [request for request in newest if _usable(request, model)]
    if len(usable) < FEWEST:
        return None
    onward = np.array([_onward(request) for request in usable], dtype=np.float64)
    reference = np.array(
        [np.nan if r.reference_nanousd is None else r.reference_nanousd for r in usable], dtype=np.float64
    )
    went_on = ~np.isnan(onward)
    both = went_on & ~np.isnan(reference)
    ratio = onward[both].sum() / reference[both].sum() if both.any() and reference[both].sum() > 0 else 1.0
    mean = onward[went_on].mean() if went_on.any() else np.nan
    guess = np.where(np.isnan(reference), mean, ratio * reference)
    if np.isnan(guess[~went_on]).any():
        return None  # nobody can tell what going on would cost
    return Trials(
        score=np.array([_first(request).score for request in usable], dtype=np.float64),
        first=np.array([_first(request).amount_nanousd for request in usable], dtype=np.float64),
        onward=np.where(went_on, onward, guess),
        believed=np.array([_believed(request, reference_quality) for request in usable], dtype=np.float64),
        guessed=int((~went_on).sum()),
    )


def _first(request: Seen) -> SeenCall:
    return next(call for call in request.answers if call.stage == 0)


def _usable(request: Seen, model: str) -> bool:
    """Whether its first tier's answer was scored against a threshold, and everything about it is known."""
    firsts = [call for call in request.answers if call.stage == 0]
    if request.status != "answered" or len(firsts) != 1 or request.spent_nanousd is None:
        return False
    return firsts[0].model == model and firsts[0].score is not None and firsts[0].threshold is not None


def _onward(request: Seen) -> float:
    later = [call.amount_nanousd or 0 for call in request.answers if call.stage > 0]
    return float(sum(later)) if later else np.nan


def _believed(request: Seen, reference_quality: float | None) -> float:
    given = next((call for call in request.answers if call.attempt_id == request.answered_attempt), None)
    if given is not None and given.stage > 0 and given.score is not None:
        return given.score
    return np.nan if reference_quality is None else reference_quality


def _interval(values: Floats) -> tuple[float, float, float]:
    mean = float(values.mean())
    half = _Z * float(values.std(ddof=1)) / float(np.sqrt(len(values)))
    return mean - half, mean, mean + half
