"""What asking one more model is worth in every state of a plan, fitted on a table from the last call to the first.

Knows backward induction by regression. Knows no rule by which an exchange rate is chosen, and no live call.

For each set of models, largest first, and each model that may come next, the value of going on (what the fitted plan
brings from there to its end) is regressed on what is known at the time. What an answer brings is counted half by its
label and half by the belief in it: labels are unbiased and noisy, beliefs the other way round.

Source: Longstaff and Schwartz, "Valuing American options by simulation", Review of Financial Studies 14, 2001.
"""

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from router.optimize.table import ScoreTable
from router.plan import Floats, Plan, State, features, value

DEPTH = 5
LABEL_SHARE = 0.5
_RIDGE = 0.1
_NANO_PER_USD = 1e9

Values = dict[State, dict[int, tuple[float, ...]]]


def plan_on(
    table: ScoreTable,
    models: Sequence[int],
    exchange: float,
    *,
    depth: int = DEPTH,
    label_share: float = LABEL_SHARE,
) -> Plan:
    """The best plan over these models of the table (cheapest first, the reference among them) at an exchange rate.

    exchange : quality per US dollar.
    """
    columns = list(models)
    reference = columns.index(table.reference())
    names = tuple(table.models[model] for model in columns)
    price = exchange / _NANO_PER_USD
    fitting = _Fitting(
        table,
        columns,
        reference,
        price * table.expected_cost()[:, columns],
        np.asarray(price * table.cost_nanousd[:, columns]),
    )
    depth = min(depth, len(columns))
    return Plan(
        models=names,
        reference=names[reference],
        exchange=exchange,
        rates=tuple(table.outlook.rates[model] for model in columns),
        depth=depth,
        values=fitting.values(depth, label_share),
    )


class _Fitting:
    """expected, paid : (n, k) prices of calls in quality, as expected and as they came."""

    def __init__(self, table: ScoreTable, columns: list[int], reference: int, expected: Floats, paid: Floats) -> None:
        self._table, self._columns, self._reference = table, columns, reference
        self._expected, self._paid = expected, paid

    def values(self, depth: int, label_share: float) -> Values:
        """Weights by state and next model. A model is followed by dearer ones only: fewer weights, fitted better."""
        k = len(self._columns)
        values: Values = {}
        worth: dict[State, Floats] = {}
        for size in range(depth, -1, -1):
            done: dict[State, Floats] = {}
            for state in itertools.combinations(range(k), size):
                beliefs = self.beliefs(state)
                stop = self._stopping(state, beliefs, label_share)
                nexts = range(state[-1] + 1, k) if state else range(k)
                if size == depth or not nexts:
                    done[state] = stop
                    continue
                values[state], done[state] = self._going_on(state, nexts, beliefs, stop, worth)
            worth = done
        return values

    def beliefs(self, state: State) -> Floats:
        return self._table.beliefs(tuple(self._columns[model] for model in state))[:, self._columns]

    def _stopping(self, state: State, beliefs: Floats, label_share: float) -> Floats:
        if not state:
            return np.zeros(len(beliefs))
        rows, asked = np.arange(len(beliefs)), np.array(state)
        best = asked[beliefs[:, asked].argmax(axis=1)]
        labels = self._table.quality[:, self._columns][rows, best]
        return np.asarray((1 - label_share) * beliefs[rows, best] + label_share * labels)

    def _going_on(
        self, state: State, nexts: range, beliefs: Floats, stop: Floats, worth: dict[State, Floats]
    ) -> tuple[dict[int, tuple[float, ...]], Floats]:
        best, most = stop, np.zeros(len(stop)) if state else np.full(len(stop), -np.inf)
        fitted: dict[int, tuple[float, ...]] = {}
        for model in nexts:
            after = worth[tuple(sorted((*state, model)))]
            x = features(state, model, beliefs, self._expected[:, self._reference])
            weights = _ridge(x, after - stop)
            fitted[model] = tuple(float(weight) for weight in weights)
            advantage = value(fitted[model], x) - self._expected[:, model]
            best = np.where(advantage > most, after - self._paid[:, model], best)
            most = np.maximum(advantage, most)
        return fitted, np.asarray(best)


def _ridge(x: Floats, y: Floats) -> NDArray[np.float64]:
    penalty = _RIDGE * np.eye(len(x))
    penalty[0, 0] *= 0.01
    return np.asarray(np.linalg.solve(x @ x.T + penalty, x @ y))
