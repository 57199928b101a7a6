"""What asking further models is worth in every state of a plan, fitted on a table of logged answers.

Knows regression. Knows no exchange rate, no rule by which one is chosen, and no live call.

Every query of the table was answered by every model, so it is known what a set of further models would have brought:
the quality of the answer that is believed in most afterwards, less that of the one returned now. That is regressed on
what is known at the time, first over all states alike (as many asked, as many further ones, the same dearest of them,
the reference asked or not), then, much shrunk, what is left in each state by itself: small logs have much chance in
them. An answer's quality is counted half by its label and half by the belief in it, as labels are unbiased and noisy
and beliefs the other way round. A share of what is fitted gives way to the expected largest belief, which needs no fit.
"""

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from router.optimize.table import ScoreTable
from router.plan import FEATURES, Floats, Plan, State, features, further

DEPTH = 5
LABEL_SHARE = 0.5
TRUST = 0.75
_POOLED_RIDGE = 1.0
_OWN_RIDGE = 30.0
_OWN = 6  # of the features: what each state may have to itself
_FREE = 0.01  # how much less the constant is drawn to 0
_DIGITS = 5  # of weights: a file is read by people too

Key = tuple[int, int, int, bool]


def plan_on(
    table: ScoreTable,
    models: Sequence[int],
    *,
    depth: int = DEPTH,
    label_share: float = LABEL_SHARE,
    trust: float = TRUST,
) -> Plan:
    """A plan over these models of the table (cheapest first, the reference among them), at an exchange rate of 0.

    trust : in what was fitted, from 0 (only the expected largest belief counts) to 1.
    """
    columns = list(models)
    reference = columns.index(table.reference())
    names = tuple(table.models[model] for model in columns)
    sums = _Sums(table, columns, reference, min(depth, len(columns)), label_share)
    return Plan(
        models=names,
        reference=names[reference],
        exchange=0.0,
        rates=tuple(table.outlook.rates[model] for model in columns),
        depth=sums.depth,
        spread=tuple(float(spread) for spread in sums.spread),
        values=sums.weights(trust),
    )


def at_exchange(plan: Plan, table: ScoreTable, share: float) -> Plan:
    """The plan where a call at the reference's mean cost on the table must bring ``share`` of quality."""
    base = float(table.cost_nanousd[:, table.models.index(plan.reference)].mean())
    return replace(plan, exchange=share / max(base, 1.0) * 1e9)


class _Sums:
    """By state and set of further models: products of features, and of features with what the set brought."""

    def __init__(self, table: ScoreTable, columns: list[int], reference: int, depth: int, label_share: float) -> None:
        self.depth, self._reference = depth, reference
        k = len(columns)
        states = [state for size in range(depth + 1) for state in itertools.combinations(range(k), size)]
        beliefs = {state: table.beliefs(tuple(columns[m] for m in state))[:, columns] for state in states}
        self.spread = np.array([(beliefs[(m,)][:, m] - beliefs[()][:, m]).std() for m in range(k)])
        quality = table.quality[:, columns]
        returned = {state: _returned(state, beliefs[state], quality, label_share) for state in states}
        self._products: dict[tuple[State, State], tuple[Floats, Floats]] = {}
        for state in states:
            sets = further(state, k, depth)
            for more, x in zip(sets, features(state, sets, beliefs[state], self.spread.tolist()), strict=True):
                brought = returned[tuple(sorted((*state, *more)))] - returned[state]
                self._products[state, more] = x @ x.T, x @ brought

    def weights(self, trust: float) -> dict[State, dict[State, tuple[float, ...]]]:
        pooled = self._pooled()
        unfitted = np.array([float(name == "lookahead") for name in FEATURES])
        found: dict[State, dict[State, tuple[float, ...]]] = {}
        for (state, more), (squares, moments) in self._products.items():
            weights = pooled[self._key(state, more)].copy()
            left = (moments - squares @ weights)[:_OWN]
            weights[:_OWN] += np.linalg.solve(squares[:_OWN, :_OWN] + _OWN_RIDGE * np.eye(_OWN), left)
            mixed = trust * weights + (1 - trust) * unfitted
            found.setdefault(state, {})[more] = tuple(float(f"{weight:.{_DIGITS}g}") for weight in mixed)
        return found

    def _pooled(self) -> dict[Key, Floats]:
        together: dict[Key, list[tuple[Floats, Floats]]] = defaultdict(list)
        for (state, more), products in self._products.items():
            together[self._key(state, more)].append(products)
        penalty = _POOLED_RIDGE * np.diag([_FREE] + [1.0] * (len(FEATURES) - 1))
        return {
            key: np.linalg.solve(
                np.mean([squares for squares, _ in parts], axis=0) + penalty,
                np.mean([moments for _, moments in parts], axis=0),
            )
            for key, parts in together.items()
        }

    def _key(self, state: State, more: State) -> Key:
        return len(state), len(more), more[-1], self._reference in state


def _returned(state: State, beliefs: Floats, quality: Floats, label_share: float) -> Floats:
    """(n,) quality of the answer that would be returned, by label and belief; 0 where nothing was asked."""
    if not state:
        return np.zeros(len(beliefs))
    rows, asked = np.arange(len(beliefs)), np.array(state)
    best = asked[beliefs[:, asked].argmax(axis=1)]
    return np.asarray((1 - label_share) * beliefs[rows, best] + label_share * quality[rows, best])
