"""What every method of the benchmark must do, and Spillway's own: fit on one table, then answer the queries of another.

Knows tables, plans and knobs. Knows no fold and no figure.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from router.optimize.carried import follow
from router.optimize.folding import folds
from router.optimize.lookahead import DEPTH, LABEL_SHARE, TRUST, at_exchange, plan_on
from router.optimize.search import models_worth_trying
from router.optimize.table import ScoreTable
from router.plan import Plan, State

Floats = NDArray[np.float64]

MODELS = 7
EXCHANGES = np.geomspace(0.003, 6.0, 24)
"""Lambda, the quality that the reference's mean cost of one call must bring; from nearly free to nearly priceless."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """What each of g settings of a method brought on n queries; settings go from dear to cheap.

    quality, cost : (g, n) label of the returned answer, and nano-USD of all calls.
    belief : (g, n) in the returned answer when it was returned, nan where nothing was believed.
    """

    quality: Floats
    cost: Floats
    belief: Floats


class Fitted(Protocol):
    """A method fitted on a table. tried : its settings there, each query out of fold where anything is fitted."""

    @property
    def tried(self) -> Runs: ...

    def answer(self, table: ScoreTable) -> Runs:
        """Every setting on the queries of another table with the same models."""
        ...


class Method(Protocol):
    """A way to trade quality for cost."""

    @property
    def name(self) -> str: ...

    def fit(self, table: ScoreTable) -> Fitted: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A method whose settings on its own table are known, and that answers another's queries by ``settings``."""

    tried: Runs
    settings: Sequence["Setting"]

    def answer(self, table: ScoreTable) -> Runs:
        return stacked([setting.run(table) for setting in self.settings])


class Setting(Protocol):
    """One strategy."""

    def run(self, table: ScoreTable) -> tuple[Floats, Floats, Floats]:
        """(n,) quality, cost and belief."""
        ...


def stacked(runs: Sequence[tuple[Floats, Floats, Floats]]) -> Runs:
    quality, cost, belief = (np.array(part, dtype=np.float64) for part in zip(*runs, strict=True))
    return Runs(quality=quality, cost=cost, belief=belief)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A plan, fitted on ``table``, at every exchange rate."""

    plan: Plan
    table: ScoreTable
    best_seen: bool
    cost_aware: bool

    def answer(self, table: ScoreTable) -> Runs:
        other = table if self.cost_aware else with_mean_costs(table, self.table)
        memory: dict[State, Floats] = {}
        runs = []
        for exchange in EXCHANGES.tolist():
            plan = at_exchange(self.plan, self.table, exchange)
            carried = follow(other, plan, best_seen=self.best_seen, memory=memory)
            runs.append((carried.quality, carried.cost_nanousd.astype(np.float64), carried.score))
        return stacked(runs)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFit:
    """A plan, and what others like it brought on the folds that they were fitted without."""

    tried: Runs
    planned: Planned

    def answer(self, table: ScoreTable) -> Runs:
        return self.planned.answer(table)


@dataclass(frozen=True, slots=True, kw_only=True)
class CascadeRoute:
    """Spillway's ``cascade_route``. The switches are for ablations.

    best_seen : return the best answer seen, else the last.   cost_aware : go by what this query's calls are expected to
    cost, else by mean costs.   label_share, trust : see ``optimize.lookahead``.
    """

    name: str = "cascade_route"
    depth: int = DEPTH
    label_share: float = LABEL_SHARE
    trust: float = TRUST
    best_seen: bool = True
    cost_aware: bool = True

    def fit(self, table: ScoreTable) -> Fitted:
        parts = folds(table.groups)
        quality, cost, belief = (np.empty((len(EXCHANGES), table.n)) for _ in range(3))
        for part in np.unique(parts):
            inside, outside = (table.take(np.flatnonzero(mask)) for mask in (parts == part, parts != part))
            runs = self._planned(outside).answer(inside)
            quality[:, parts == part], cost[:, parts == part] = runs.quality, runs.cost
            belief[:, parts == part] = runs.belief
        tried = Runs(quality=quality, cost=cost, belief=belief)
        return PlannedFit(tried=tried, planned=self._planned(table))

    def _planned(self, table: ScoreTable) -> Planned:
        models = models_worth_trying(table, MODELS)
        plan = plan_on(table, models, depth=self.depth, label_share=self.label_share, trust=self.trust)
        return Planned(plan=plan, table=table, best_seen=self.best_seen, cost_aware=self.cost_aware)


def with_mean_costs(table: ScoreTable, fitted_on: ScoreTable) -> ScoreTable:
    """The table as it looks to somebody who knows only what each model's calls cost on average."""
    known, seen = fitted_on.outlook, table.outlook
    blind = replace(
        seen,
        beliefs=table.beliefs,
        prompt_tokens=np.full(table.n, known.prompt_tokens.mean()),
        completion_tokens=np.tile(known.completion_tokens.mean(axis=0), (table.n, 1)),
    )
    return ScoreTable(
        models=table.models,
        query_hashes=table.query_hashes,
        quality=table.quality,
        cost_nanousd=table.cost_nanousd,
        scores=table.scores,
        groups=table.groups,
        outlook=lambda: blind,
    )
