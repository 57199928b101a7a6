"""Beliefs corrected once more by who was asked, tried beside ``cascade_route``: a prior for each model in each state.

Kept for the measurement that says what it gains. A model's belief in a state is moved, in log-odds, by as much as its
labels there were above or below what was believed, shrunk; answers that conclude the same go on sharing one belief.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from router.benchmark.methods import CascadeRoute, Planned, Runs
from router.optimize.table import Floats, ScoreTable

Moves = Callable[[tuple[int, ...]], Floats]
_EQUAL = 1e-6
_LEAST = 1e-6


def moves_by_state(table: ScoreTable, ridge: float) -> Moves:
    """By state, (k,) how far each model's log-odds are moved: one step of a ridge logistic regression on its labels."""
    known: dict[tuple[int, ...], Floats] = {}

    def of(asked: tuple[int, ...]) -> Floats:
        if asked not in known:
            p = table.beliefs(asked)
            known[asked] = (table.quality - p).sum(axis=0) / ((p * (1 - p)).sum(axis=0) + ridge)
        return known[asked]

    return of


def moves_of_strongest(table: ScoreTable, ridge: float) -> Moves:
    """The same for the reference's answer alone, once it was given: a prior for the strongest where others disagree."""
    by_state, reference = moves_by_state(table, ridge), table.reference()
    only = np.arange(len(table.models)) == reference
    return lambda asked: np.where(only & (reference in asked), by_state(asked), 0.0)


def corrected(table: ScoreTable, moves: Moves) -> ScoreTable:
    """The table with beliefs moved."""
    seen = table.outlook

    def beliefs(asked: tuple[int, ...]) -> Floats:
        before = table.beliefs(asked)
        moved = np.tile(moves(asked), (table.n, 1))
        at = list(asked)
        if at:
            alike = np.abs(before[:, at, None] - before[:, None, at]) < _EQUAL
            moved[:, at] = (alike * moved[:, None, at]).sum(axis=2) / alike.sum(axis=2)
        clipped = np.clip(before, _LEAST, 1 - _LEAST)
        return np.asarray(1 / (1 + np.exp(-(np.log(clipped / (1 - clipped)) + moved))))

    other = replace(seen, beliefs=beliefs)
    return ScoreTable(
        models=table.models,
        query_hashes=table.query_hashes,
        quality=table.quality,
        cost_nanousd=table.cost_nanousd,
        scores=table.scores,
        groups=table.groups,
        outlook=lambda: other,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectedPlan(Planned):
    """A plan on corrected beliefs; other tables are corrected in the same way before it answers their queries."""

    moves: Moves

    def answer(self, table: ScoreTable) -> Runs:
        return Planned.answer(self, corrected(table, self.moves))


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrected(CascadeRoute):
    """``cascade_route`` on beliefs corrected where the plan is fitted, and nowhere else."""

    fitted: Callable[[ScoreTable, float], Moves]
    ridge: float

    def _planned(self, table: ScoreTable) -> Planned:
        moves = self.fitted(table, self.ridge)
        planned = CascadeRoute._planned(self, corrected(table, moves))
        return CorrectedPlan(
            plan=planned.plan, table=planned.table, best_seen=self.best_seen, cost_aware=self.cost_aware, moves=moves
        )
