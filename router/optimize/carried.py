"""Carries any strategy out on a table, all queries at once: who was asked, whose answer was returned, at what cost.

Knows strategies of every kind and tables. Knows no live call, but takes every query the way that it would take live.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router.errors import StrategyError
from router.optimize.columns import columns
from router.optimize.simulate import Chain, play
from router.optimize.table import ScoreTable
from router.plan import Floats, Plan, State
from router.strategy import Strategy


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """What a strategy did on n queries.

    called : (n, s) whether each of its stages was called.   returned : (n,) the stage whose answer was returned.
    score : (n,) of that answer when it was returned; nan where none was asked for.
    quality, cost_nanousd : (n,) of the answer, and of all calls.
    """

    called: NDArray[np.bool_]
    returned: NDArray[np.intp]
    score: NDArray[np.float64]
    quality: NDArray[np.float64]
    cost_nanousd: NDArray[np.int64]


def carry_out(table: ScoreTable, strategy: Strategy) -> Carried:
    """Raises StrategyError if the table lacks a model of the strategy."""
    chain, _ = columns(strategy, table)
    if strategy.plan is not None:
        return follow(table, strategy.plan, chain)
    thresholds = [stage.threshold for stage in strategy.stages if stage.threshold is not None]
    first = entered(table, strategy)
    if first is None:
        return _played(table, chain, thresholds)
    rows = {place: np.flatnonzero(first == place) for place in np.unique(first).tolist()}
    parts = [(rows[p], p, _played(table.take(rows[p]), chain[p:], thresholds[p:])) for p in rows]
    called, returned = np.zeros((table.n, len(chain)), dtype=bool), np.zeros(table.n, dtype=np.intp)
    score, quality = np.full(table.n, np.nan), np.empty(table.n)
    cost = np.empty(table.n, dtype=np.int64)
    for at, place, part in parts:
        called[at, place:], returned[at], score[at] = part.called, part.returned + place, part.score
        quality[at], cost[at] = part.quality, part.cost_nanousd
    return Carried(called=called, returned=returned, score=score, quality=quality, cost_nanousd=cost)


def entered(table: ScoreTable, strategy: Strategy) -> NDArray[np.intp] | None:
    """(n,) at which stage each query enters; None where the strategy has no entry."""
    entry = strategy.entry
    if entry is None:
        return None
    told = [("", 0.0) if category is None else (category.name, category.p) for category in table.categories]
    return np.array([entry.place(strategy.models, entry.skipped(name or None, p)) for name, p in told], dtype=np.intp)


def _played(table: ScoreTable, chain: Chain, thresholds: Sequence[float]) -> Carried:
    played = play(table, chain, thresholds)
    stages = np.arange(len(chain))
    score = np.full(table.n, np.nan)
    for stage in stages[:-1]:
        here = played.stage == stage
        score[here] = table.scores(chain[stage], chain[:stage])[here]
    return Carried(
        called=played.stage[:, None] >= stages,
        returned=played.stage,
        score=score,
        quality=played.quality,
        cost_nanousd=played.cost_nanousd,
    )


def follow(
    table: ScoreTable,
    plan: Plan,
    chain: Chain | None = None,
    *,
    best_seen: bool = True,
    memory: dict[State, Floats] | None = None,
) -> Carried:
    """Follow a plan. chain : the plan's models in the table. best_seen : return the best answer, else the last one.

    memory : where what further models are worth is kept by state, for the same plan at other exchange rates.
    """
    if chain is None:
        chain = tuple(table.models.index(model) for model in plan.models)
    memory = {} if memory is None else memory
    at, n, k = list(chain), table.n, len(chain)
    outlook = table.outlook
    costs = plan.costs(outlook.prompt_tokens, outlook.completion_tokens[:, at])
    called, returned = np.zeros((n, k), dtype=bool), np.full(n, -1, dtype=np.intp)
    score, last = np.full(n, np.nan), np.full(n, -1, dtype=np.intp)
    waiting: dict[State, NDArray[np.intp]] = {(): np.arange(n)}
    while waiting:
        further: dict[State, list[NDArray[np.intp]]] = {}
        for state, rows in waiting.items():
            beliefs = table.beliefs(tuple(at[model] for model in state))[:, at]
            if state not in memory:
                memory[state] = plan.worth(state, beliefs)
            beliefs = beliefs[rows]
            chosen = plan.choose(state, beliefs, costs[rows], worth=memory[state][rows])
            done = chosen < 0
            if done.any():
                ended, asked = rows[done], np.array(state)
                best = asked[beliefs[done][:, asked].argmax(axis=1)] if best_seen else last[ended]
                returned[ended], score[ended] = best, beliefs[done][np.arange(len(ended)), best]
            for model in np.unique(chosen[~done]).tolist():
                going = rows[chosen == model]
                called[going, model], last[going] = True, model
                further.setdefault(tuple(sorted((*state, model))), []).append(going)
        waiting = {state: np.concatenate(parts) for state, parts in further.items()}
    if (returned < 0).any():
        raise StrategyError("the plan did not come to an end")
    if not plan.values:
        score = np.full(n, np.nan)  # nothing is judged after a routed call
    cost = np.where(called, table.cost_nanousd[:, at], 0).sum(axis=1)
    quality = table.quality[:, at][np.arange(n), returned]
    return Carried(called=called, returned=returned, score=score, quality=quality, cost_nanousd=cost)
