"""Choosing a plan: one exchange rate among many, by what plans brought on queries that they were not fitted on.

Knows tables, rules and evidence. Knows no method of others and no file.

There is one knob, lambda. A plan is fitted without each fold and followed on that fold at each of lambda's values; the
rule chooses among those outcomes, and the plan is then fitted anew on everything. A gain is counted half by labels and
half by beliefs. What the choice is worth on new queries is estimated by leaving folds out of the choice as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from router.errors import StrategyError
from router.optimize.carried import follow
from router.optimize.folding import folds
from router.optimize.frontier import Point, undominated, with_bands
from router.optimize.lookahead import at_exchange, plan_on
from router.optimize.search import Estimates, Progress, models_worth_trying
from router.optimize.selection import HeldOut, Rule, select
from router.optimize.table import ScoreTable
from router.plan import Floats, Plan, State
from router.strategy import AtExchange

MODELS = 7
_NANO_PER_USD = 1e9
EXCHANGES = np.geomspace(0.003, 6.0, 24)
"""Lambda as the quality that a call at the reference's mean cost must bring; dear to cheap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanChoice:
    """plan : None where the reference alone is the choice.   quality, cost_nanousd : of the choice, out of fold.

    tried : every plan by exchange rate, and last the reference alone, out of fold.   frontier : of these.
    """

    plan: Plan | None
    quality: float
    cost_nanousd: float
    held_out: HeldOut | None
    tried: Estimates
    frontier: tuple[Point, ...]
    by_exchange: tuple[AtExchange, ...]  # the same without the reference alone


def choose_plan(table: ScoreTable, rule: Rule, *, route: bool = False, progress: Progress | None = None) -> PlanChoice:
    """Fit, follow and choose. route : one call only. Raises StrategyError if nothing meets the rule."""
    if len(np.unique(folds(table.groups))) < 2:
        raise StrategyError("a plan is tried on queries that it was not fitted on: that takes 2 conversations or more")
    outcomes = _Outcomes(table, route=route, progress=progress)
    every = np.arange(table.n)
    estimates = outcomes.estimates(every)
    index = select(rule, estimates)
    alone = index == len(EXCHANGES)
    return PlanChoice(
        plan=None if alone else at_exchange(outcomes.plan(table), table, float(EXCHANGES[index])),
        quality=float(estimates.quality[index]),
        cost_nanousd=float(estimates.cost[index]),
        held_out=outcomes.held_out(rule),
        tried=estimates,
        frontier=outcomes.frontier(),
        by_exchange=outcomes.by_exchange(),
    )


class _Outcomes:
    """quality, gain, cost : (plans + 1, n) of every plan out of fold, and last of the reference alone."""

    def __init__(self, table: ScoreTable, *, route: bool, progress: Progress | None) -> None:
        self._table, self._route, self._parts = table, route, folds(table.groups)
        reference = table.reference()
        self._kind, self._alone = "route" if route else "cascade_route", table.models[reference]
        base, base_cost = table.quality[:, reference], table.cost_nanousd[:, reference].astype(np.float64)
        shape = (len(EXCHANGES) + 1, table.n)
        self._quality, self._belief, self._cost = (np.empty(shape) for _ in range(3))
        self._quality[-1], self._cost[-1] = base, base_cost
        self._belief[-1] = table.beliefs((reference,))[:, reference]
        parts = np.unique(self._parts)
        for done, part in enumerate(parts.tolist()):
            inside, outside = (np.flatnonzero(mask) for mask in (self._parts == part, self._parts != part))
            fitted_on, followed_on = table.take(outside), table.take(inside)
            plan = self.plan(fitted_on)
            memory: dict[State, Floats] = {}
            for row, exchange in enumerate(EXCHANGES.tolist()):
                carried = follow(followed_on, at_exchange(plan, fitted_on, exchange), memory=memory)
                self._quality[row, inside], self._cost[row, inside] = carried.quality, carried.cost_nanousd
                self._belief[row, inside] = carried.score if plan.values else carried.quality
            if progress is not None:
                progress(done + 1, len(parts))
        by_belief = self._quality - base if route else self._belief - self._belief[-1]
        self._gain = (self._quality - base + by_belief) / 2

    def plan(self, table: ScoreTable) -> Plan:
        """Fitted on a table, at no exchange rate yet."""
        models = models_worth_trying(table, MODELS)
        if self._route:
            return replace(plan_on(table, models, depth=1), values={})
        return plan_on(table, models)

    def estimates(self, rows: NDArray[np.intp]) -> Estimates:
        """Means over some of the queries."""
        quality, gain, cost = (values[:, rows] for values in (self._quality, self._gain, self._cost))
        n = len(rows)
        error = np.sqrt((gain.var(axis=1) + 1 / n) / n)  # as if one more query had gone otherwise
        error[-1] = 0.0
        return Estimates(
            quality=quality.mean(axis=1),
            quality_se=quality.std(axis=1) / np.sqrt(n),
            gain=gain.mean(axis=1),
            gain_se=error,
            cost=cost.mean(axis=1),
            cost_se=cost.std(axis=1) / np.sqrt(n),
            overspend_se=(cost - cost[-1]).std(axis=1) / np.sqrt(n),
            reference_quality=float(quality[-1].mean()),
            reference_cost=float(cost[-1].mean()),
        )

    def frontier(self) -> tuple[Point, ...]:
        """The plans that none beats, with what a dollar must bring in each."""
        rates = [*(f"{self._kind} at {rate:.4g} per USD" for rate in self._rates()), self._alone]
        return self._points(rates)

    def by_exchange(self) -> tuple[AtExchange, ...]:
        """The same, by the rates themselves."""
        names = [str(row) for row in range(len(EXCHANGES) + 1)]
        rates = self._rates()
        return tuple(
            AtExchange(
                exchange=rates[int(point.strategy)],
                quality=point.quality,
                quality_ci95=point.quality_ci95,
                cost_usd_per_1k=point.cost_usd_per_1k,
                cost_ci95=point.cost_ci95,
            )
            for point in self._points(names)
            if int(point.strategy) < len(EXCHANGES)
        )

    def _rates(self) -> list[float]:
        """Quality that a US dollar must bring, by ``EXCHANGES``."""
        base = float(self._cost[-1].mean()) / _NANO_PER_USD
        return [share / max(base, 1e-9) for share in EXCHANGES.tolist()]

    def _points(self, names: Sequence[str]) -> tuple[Point, ...]:
        rows = undominated(self._quality.mean(axis=1), self._cost.mean(axis=1))
        return with_bands([names[row] for row in rows], self._quality[rows], self._cost[rows], self._quality[-1])

    def held_out(self, rule: Rule) -> HeldOut | None:
        """Choose without each fold, judge on it. None where the rule cannot be met without some fold."""
        gains: list[Floats] = []
        spent = base = 0.0
        for part in np.unique(self._parts):
            inside, outside = (np.flatnonzero(mask) for mask in (self._parts == part, self._parts != part))
            try:
                index = select(rule, self.estimates(outside))
            except StrategyError:
                return None
            gains.append(self._quality[index, inside] - self._quality[-1, inside])
            spent += float(self._cost[index, inside].sum())
            base += float(self._cost[-1, inside].sum())
        delta = float(np.concatenate(gains).mean())
        return HeldOut(saving=1 - spent / base if base else 0.0, quality_delta=delta, folds=len(gains))
