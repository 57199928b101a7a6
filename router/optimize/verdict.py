"""What trials of a path say of a promise: the most lenient step that keeps it, or in words why none can be certified.

Knows trials and promises. Knows no table and no strategy.
"""

import math
from dataclasses import dataclass

import numpy as np

from router.certificate import Promise, Test
from router.errors import NotCertified
from router.optimize.betting import betting_p_value, betting_upper_bound
from router.optimize.guarantee import (
    binomial_p_value,
    binomial_upper_bound,
    conformal_least_alpha,
    conformal_step,
    fixed_sequence,
    zero_error_alpha,
    zero_error_points,
)
from router.optimize.path import Trials, start

_PICKED = "An alpha that was picked on these data is not certified by them: certify it on others"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """step : the certified one.   tested : how many steps were.   The rest as in a certificate."""

    step: int
    tested: int
    observed: float
    p_value: float | None
    bound: float


def judge(selection: Trials, calibration: Trials, promise: Promise, test: Test) -> Verdict:
    """The most lenient step of a path that the calibration's trials certify. Raises NotCertified.

    selection : trials of the same path on other queries; they alone say where testing starts.
    """
    first = 0 if test == "conformal" else start(selection, promise.alpha)
    verdict = walk(first, calibration, promise, test)
    if verdict is not None:
        return verdict
    if promise.delta is None:
        raise NotCertified(_conformal_refusal(calibration, promise.alpha))
    tests = _Tests(calibration, test, promise.delta)
    raise NotCertified(tests.too_few(promise.alpha) or tests.refusal(selection, first, promise.alpha))


def walk(first: int, calibration: Trials, promise: Promise, test: Test) -> Verdict | None:
    """Test step after step, from ``first`` on; None if not even that one is certified."""
    if promise.delta is None:
        return _conformal(calibration, promise.alpha)
    tests = _Tests(calibration, test, promise.delta)
    series = range(first, len(calibration.losses))
    rejected = fixed_sequence((tests.p_value(step, promise.alpha) for step in series), promise.delta)
    if not rejected:
        return None
    step = first + rejected - 1
    return Verdict(
        step=step,
        tested=min(rejected + 1, len(series)),
        observed=float(calibration.counted(step).mean()),
        p_value=tests.p_value(step, promise.alpha),
        bound=tests.bound(step),
    )


class _Tests:
    """The tests of one path at level ``delta``, and what is said where the first of them fails."""

    def __init__(self, trials: Trials, test: Test, delta: float) -> None:
        self._trials, self._binomial, self._delta = trials, test == "binomial", delta

    def p_value(self, step: int, alpha: float) -> float:
        losses = self._trials.counted(step)
        if self._binomial:
            return binomial_p_value(round(losses.sum()), len(losses), alpha)
        return betting_p_value(self._trials.scaled(losses), self._trials.limit(alpha), self._delta)

    def bound(self, step: int) -> float:
        """The upper confidence bound of the loss, on the scale of alpha."""
        losses = self._trials.counted(step)
        if self._binomial:
            return binomial_upper_bound(round(losses.sum()), len(losses), self._delta)
        bound = betting_upper_bound(self._trials.scaled(losses), self._delta)
        return 2 * bound - 1 if self._trials.kind == "quality_drop" else bound

    def too_few(self, alpha: float) -> str | None:
        """Why not even answers without any error could certify ``alpha``; None if they could."""
        if self._trials.kind == "quality_drop":  # queries on which the strategy is better may make up for few of them
            return None
        n = int(self._trials.accepted.sum(axis=1).max())
        if not n:
            return "judged stages accept none of these data's answers: there is nothing to certify"
        lossless = zero_error_alpha(n, self._delta)
        if not self._binomial:
            lossless = betting_upper_bound(np.zeros(n), self._delta)
        if lossless <= alpha:
            return None
        return (
            f"alpha={alpha:g} is out of reach: judged stages accept only {n} answers of these data, and even if "
            f"none of them is wrong, delta={self._delta:g} takes {zero_error_points(alpha, self._delta)} "
            f"(ln delta / ln(1 - alpha)). The smallest feasible alpha is {_up(lossless):g}"
        )

    def refusal(self, selection: Trials, first: int, alpha: float) -> str:
        losses = self._trials.counted(first)
        found = f"{losses.mean():.4f} on average" if len(losses) else "unknown"
        counted, what = "accepted answers", "loss"
        if self._trials.kind == "quality_drop":
            counted, what = "queries", "drop in quality"
        return (
            f"alpha={alpha:g} is not borne out: on {len(losses)} {counted} the {what} is {found} where testing starts, "
            f"p = {self.p_value(first, alpha):.3g} > delta = {self._delta:g}. "
            f"The smallest feasible alpha here is {self._least(selection, first):g}. {_PICKED}"
        )

    def _least(self, selection: Trials, first: int) -> float:
        """An alpha that these data bear out; as it moves the start of the test, that is followed until it stays."""
        least = _up(self.bound(first))
        while least < 1 and (bound := self.bound(start(selection, least))) > least:
            least = _up(bound)
        return least


def _conformal(trials: Trials, alpha: float) -> Verdict | None:
    losses = np.where(trials.accepted, trials.losses, 0.0)
    step, adjusted = conformal_step(losses, alpha)
    if step < 0:
        return None
    observed = float(losses[step].mean())
    return Verdict(step=step, tested=len(losses), observed=observed, p_value=None, bound=float(adjusted[step]))


def _conformal_refusal(trials: Trials, alpha: float) -> str:
    losses = np.where(trials.accepted, trials.losses, 0.0)
    n = losses.shape[1]
    least = conformal_least_alpha(n)
    if least > alpha:
        return f"alpha={alpha:g} is out of reach of {n} queries. The smallest feasible alpha is {_up(least):g}"
    smallest = float(conformal_step(losses, alpha)[1][0])
    return f"alpha={alpha:g} is not borne out. The smallest feasible alpha is {_up(smallest):g}. {_PICKED}"


def _up(alpha: float) -> float:
    """Rounded to four decimals, never to less than what is feasible."""
    return min(math.ceil(alpha * 10_000) / 10_000, 1.0)
