"""Methods of the literature, written from their papers, on the same candidate models, scores and beliefs.

* FrugalGPT (Chen, Zaharia and Zou, 2023, arXiv:2305.05176): chains of three models; each answer is scored by itself,
  and thresholds are searched over quantiles of the scores, by the best quality within a budget on the table itself.
* A random mix: one call, by lot, of the two single models between which the wanted cost lies on the upper hull of cost
  and quality; what is told is its expectation. Whoever routes must beat it.
* Routing: one call, the best belief before it for its expected price.
* Cascade routing (Dekoninck, Baader and Vechev, ICML 2025, arXiv:2410.10347): after every answer the best supermodel, a
  set that holds all models asked, by E[max] of its models' qualities less lambda times its costs; the cheapest of what
  it adds is asked next, and it stops where it adds nothing. Qualities are taken as independent and Gaussian; that of a
  model asked is known, that of another spreads as its belief moved when it was asked, on the table it was fitted on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from router.benchmark.methods import EXCHANGES, MODELS, Answered, Fitted, Floats, Setting, stacked
from router.optimize.search import Candidates, SearchSpace, models_worth_trying
from router.optimize.simulate import Chain, play
from router.optimize.table import ScoreTable

_BUDGETS = 24
_DRAWS = 16
_FRUGAL = SearchSpace(depth=3, max_models=MODELS, grid_sizes=(20, 10))


@dataclass(frozen=True, slots=True, kw_only=True)
class FrugalGPT:
    """Settings are budgets, evenly spread over log cost."""

    name: str = "FrugalGPT"

    def fit(self, table: ScoreTable) -> Fitted:
        candidates = Candidates.search(_by_themselves(table), _FRUGAL)
        estimates = candidates.estimates()
        dearest = float(table.cost_nanousd.mean(axis=0).max())
        settings = []
        for budget in np.geomspace(dearest, float(estimates.cost.min()), _BUDGETS) * (1 + 1e-9):
            allowed = np.flatnonzero(estimates.cost <= budget)
            best = allowed[np.lexsort((estimates.cost[allowed], -estimates.gain[allowed]))[0]]
            chain, thresholds = candidates.stages(int(best))
            settings.append(Threshold(chain=chain, thresholds=thresholds))
        return Answered(tried=stacked([setting.run(table) for setting in settings]), settings=settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """A chain whose answers are scored one by one, each by itself."""

    chain: Chain
    thresholds: tuple[float, ...]

    def run(self, table: ScoreTable) -> tuple[Floats, Floats, Floats]:
        played = play(_by_themselves(table), self.chain, self.thresholds)
        return played.quality, played.cost_nanousd.astype(np.float64), np.full(table.n, np.nan)


def _by_themselves(table: ScoreTable) -> ScoreTable:
    return ScoreTable(
        models=table.models,
        query_hashes=table.query_hashes,
        quality=table.quality,
        cost_nanousd=table.cost_nanousd,
        scores=lambda model, _context: table.scores(model),
        groups=table.groups,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """Settings are exchange rates. Nothing is fitted beyond the beliefs, which are out of fold."""

    name: str = "routing"

    def fit(self, table: ScoreTable) -> Fitted:
        models = models_worth_trying(table, MODELS)
        base = float(table.cost_nanousd[:, table.reference()].mean())
        settings = [Route(models=models, price=float(exchange) / base) for exchange in EXCHANGES]
        return Answered(tried=stacked([setting.run(table) for setting in settings]), settings=settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One call at a price per nano-USD."""

    models: tuple[int, ...]
    price: float

    def run(self, table: ScoreTable) -> tuple[Floats, Floats, Floats]:
        at, rows = list(self.models), np.arange(table.n)
        beliefs = table.beliefs(())[:, at]
        chosen = (beliefs - self.price * table.expected_cost()[:, at]).argmax(axis=1)
        model = np.array(at)[chosen]
        cost = table.cost_nanousd[rows, model].astype(np.float64)
        return table.quality[rows, model], cost, beliefs[rows, chosen]


@dataclass(frozen=True, slots=True, kw_only=True)
class CascadeRouting:
    """Settings are exchange rates, one lambda for all steps."""

    name: str = "cascade routing"

    def fit(self, table: ScoreTable) -> Fitted:
        models = models_worth_trying(table, MODELS)
        before = table.beliefs(())
        spread = tuple(float((table.beliefs((model,))[:, model] - before[:, model]).std()) for model in models)
        base = float(table.cost_nanousd[:, table.reference()].mean())
        settings = [
            Supermodels(models=models, spread=spread, price=float(exchange) / base, memory=_Memory())
            for exchange in EXCHANGES
        ]
        for setting in settings:
            setting.memory.share(settings[0].memory)
        return Answered(tried=stacked([setting.run(table) for setting in settings]), settings=settings)


class _Memory:
    """E[max] by state, which no exchange rate changes."""

    def __init__(self) -> None:
        self.known: dict[tuple[int, tuple[int, ...]], tuple[ScoreTable, list[tuple[int, ...]], Floats]] = {}

    def share(self, other: "_Memory") -> None:
        self.known = other.known


@dataclass(frozen=True, slots=True, kw_only=True)
class Supermodels:
    """Cascade routing at one price per nano-USD. spread : by model, how its quality spreads before it is asked."""

    models: tuple[int, ...]
    spread: tuple[float, ...]
    price: float
    memory: _Memory

    def run(self, table: ScoreTable) -> tuple[Floats, Floats, Floats]:
        at, n = list(self.models), table.n
        prices = self.price * table.expected_cost()[:, at]
        returned, belief, cost = np.zeros(n, dtype=np.intp), np.zeros(n), np.zeros(n)
        waiting: dict[tuple[int, ...], list[NDArray[np.intp]]] = {(): [np.arange(n)]}
        while waiting:
            further: dict[tuple[int, ...], list[NDArray[np.intp]]] = {}
            for state, parts in waiting.items():
                rows = np.concatenate(parts)
                added, worth = self._supermodels(table, state)
                prices_of = np.stack([prices[rows][:, list(more)].sum(axis=1) for more in added], axis=1)
                value = worth[rows] - prices_of
                if not state:
                    value[:, 0] = -np.inf
                best = value.argmax(axis=1)
                for which in np.unique(best).tolist():
                    going = rows[best == which]
                    if not added[which]:
                        beliefs = table.beliefs(tuple(at[m] for m in state))[going][:, [at[m] for m in state]]
                        returned[going] = np.array([at[m] for m in state])[beliefs.argmax(axis=1)]
                        belief[going] = beliefs.max(axis=1)
                        continue
                    model = min(added[which])  # models stand in the order of their mean costs
                    cost[going] += table.cost_nanousd[going, at[model]]
                    further.setdefault(tuple(sorted((*state, model))), []).append(going)
            waiting = further
        return table.quality[np.arange(n), returned], cost, belief

    def _supermodels(self, table: ScoreTable, state: tuple[int, ...]) -> tuple[list[tuple[int, ...]], Floats]:
        """What each supermodel adds to the state, nothing first, and (n, supermodels) E[max]."""
        key = (id(table), state)
        if key not in self.memory.known:
            self.memory.known[key] = (table, *self._expected(table, state))
        _, added, worth = self.memory.known[key]
        return added, worth

    def _expected(self, table: ScoreTable, state: tuple[int, ...]) -> tuple[list[tuple[int, ...]], Floats]:
        at = list(self.models)
        beliefs = table.beliefs(tuple(at[m] for m in state))[:, at]
        rest = [m for m in range(len(at)) if m not in state]
        random = np.random.default_rng(0)
        places = (np.arange(_DRAWS) + 0.5) / _DRAWS  # stratified, in an order of its own for each model
        noise = np.stack([ndtri(random.permutation(places)) for _ in at])
        known = beliefs[:, list(state)].max(axis=1) if state else np.full(table.n, -np.inf)
        added: list[tuple[int, ...]] = [()]
        samples: dict[tuple[int, ...], NDArray[np.float32]] = {}
        samples[()] = (np.repeat(known[:, None], _DRAWS, axis=1)).astype(np.float32)
        for model in rest:
            drawn = (beliefs[:, [model]] + self.spread[model] * noise[model]).astype(np.float32)
            for more in list(added):
                added.append((*more, model))
                samples[(*more, model)] = np.maximum(samples[more], drawn)
        worth = np.stack([samples[more].mean(axis=1) for more in added], axis=1)
        return added, worth.astype(np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomMix:
    """Settings are mean costs, evenly spread over log cost."""

    name: str = "random mix"

    def fit(self, table: ScoreTable) -> Fitted:
        quality, cost = table.quality.mean(axis=0), table.cost_nanousd.mean(axis=0)
        hull = _upper_hull(cost, quality)
        settings = []
        for wanted in np.geomspace(cost[hull[-1]], max(cost[hull[0]], 1.0), _BUDGETS):
            above = next((place for place in range(1, len(hull)) if cost[hull[place]] >= wanted), len(hull) - 1)
            one, other = hull[max(above - 1, 0)], hull[above]
            apart = cost[other] - cost[one]
            share = 1.0 if apart <= 0 else float(np.clip((wanted - cost[one]) / apart, 0, 1))
            settings.append(Lot(one=one, other=other, share=share))
        return Answered(tried=stacked([setting.run(table) for setting in settings]), settings=settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lot:
    """Two models, and how often the other one is asked."""

    one: int
    other: int
    share: float

    def run(self, table: ScoreTable) -> tuple[Floats, Floats, Floats]:
        odds = np.array([1 - self.share, self.share])
        at = [self.one, self.other]
        return table.quality[:, at] @ odds, table.cost_nanousd[:, at] @ odds, np.full(table.n, np.nan)


def _upper_hull(cost: Floats, quality: Floats) -> list[int]:
    """Columns from the cheapest to the best, such that no mix of others is better at the same cost."""
    hull: list[int] = []
    for model in np.lexsort((-quality, cost)).tolist():
        if hull and quality[model] <= quality[hull[-1]]:
            continue
        while len(hull) > 1 and _slope(cost, quality, hull[-2], hull[-1]) <= _slope(cost, quality, hull[-1], model):
            hull.pop()
        hull.append(model)
    return hull


def _slope(cost: Floats, quality: Floats, one: int, other: int) -> float:
    return float((quality[other] - quality[one]) / max(cost[other] - cost[one], 1e-9))


def singles(table: ScoreTable) -> Sequence[Setting]:
    """Every model alone."""
    return [Threshold(chain=(model,), thresholds=()) for model in range(len(table.models))]
