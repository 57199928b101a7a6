"""A plan: which model to ask next, and when to stop, from beliefs about every model's answer and the costs of asking.

Knows beliefs, costs and the arithmetic between them, for one query or many at once. Knows no scorer, no call and no
table: whoever carries a plan out, live or in a replay, hands it what is believed.

A state is the set of models that were asked. From a state, every set of further models is weighed: how much better the
answer that would be returned then is expected to be, less what they cost. The cheapest of the best set is asked, and
then everything is weighed anew; it stops where no set is worth its price. What a set brings is a weighted sum of a few
numbers that are known at the time (``FEATURES``), the expected largest belief among them (the supermodels of Dekoninck,
Baader and Vechev, "A unified approach to routing and cascading for LLMs", ICML 2025). How weights are fitted:
``optimize.lookahead``.
"""

import functools
import itertools
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from router.errors import StrategyError
from router.fields import Fields
from scorer.answer import Query

Floats = NDArray[np.float64]
State = tuple[int, ...]
"""The models that were asked, ascending by their place in the plan."""

FEATURES = (
    *("one", "seen", "seen²", "best", "best·seen", "best²", "mean", "mean·seen"),
    *("lookahead", "lookahead·seen", "worst", "agreeing", "agreeing·seen"),
)
"""seen, worst: belief in the best and the worst answer so far; agreeing: share of the answers that are believed in as
much as the best; best, mean: of what is believed of the models that may be asked; lookahead: how far the largest belief
is expected to rise, were each to move by its model's spread, independently."""

_NANO_PER_USD = 1e9
_CHARS_PER_TOKEN = 4.0  # a rough measure is enough: it weighs one model's price against another's
_TOKENS_PER_MESSAGE = 4.0
_DRAWS = 16
_EQUAL = 1e-6  # answers that conclude the same share one belief


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How one query is answered.

    models : all that may be asked, the cheapest first.   reference : what savings are counted against.
    exchange : lambda, the quality that one US dollar must bring; the higher, the sooner it stops.
    rates : US dollars per million input and output tokens, by model, as of when the plan was made.
    depth : calls at most.
    spread : by model, how far the belief in its answer moves when it is asked (a standard deviation).
    values : by state and set of further models the weights of ``FEATURES``. What is absent is never asked; if it is
        empty one model is asked, the one with the best belief for its price.
    floor : before the reference was asked, an answer is returned only if it is believed in at least so much. 0 leaves
        the plan as it was fitted; certificates are earned by raising it.
    congestion : by model what its costs are multiplied with where they are weighed, as its engines are loaded now;
        empty: 1 each. It belongs to a moment and is in no file.
    """

    models: tuple[str, ...]
    reference: str
    exchange: float
    rates: tuple[tuple[float, float], ...]
    depth: int
    spread: tuple[float, ...]
    values: Mapping[State, Mapping[State, tuple[float, ...]]]
    floor: float = 0.0
    congestion: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.models or len(set(self.models)) != len(self.models):
            raise StrategyError("plan.models: must be different models, at least one")
        if self.reference not in self.models:
            raise StrategyError(f"plan.reference: {self.reference!r} is none of plan.models")
        if len(self.rates) != len(self.models) or any(rate < 0 for pair in self.rates for rate in pair):
            raise StrategyError("plan.rates: must be two rates of at least 0 for each of plan.models")
        if len(self.spread) != len(self.models) or not all(0 <= spread < np.inf for spread in self.spread):
            raise StrategyError("plan.spread: must be a number of at least 0 for each of plan.models")
        if not 0 <= self.exchange < np.inf:
            raise StrategyError(f"plan.exchange: must be at least 0, not {self.exchange:g}")
        if not 1 <= self.depth <= len(self.models):
            raise StrategyError(f"plan.depth: must be between 1 and {len(self.models)}, not {self.depth}")
        if not 0 <= self.floor <= 1:
            raise StrategyError(f"plan.floor: must be between 0 and 1, not {self.floor:g}")

    def under(self, multiplier: float) -> Self:
        """The plan with every dollar weighing ``multiplier`` times as much: under pressure it spends less."""
        return replace(self, exchange=self.exchange * multiplier)

    def congested(self, multipliers: Mapping[str, float]) -> Self:
        """The plan at a moment at which calls of these models are to be weighed as so much dearer."""
        return replace(self, congestion=tuple(multipliers.get(model, 1.0) for model in self.models))

    def weighed(self, costs_nanousd: Floats) -> Floats:
        """(n, k) what costs are weighed as: dearer where engines are busy. Nobody is billed this."""
        return costs_nanousd * np.array(self.congestion) if self.congestion else costs_nanousd

    def costs(self, prompt_tokens: Floats, completion_tokens: Floats) -> Floats:
        """(n, k) expected nano-USD of one call from (n,) prompt and (n, k) expected completion tokens."""
        return costs(self.rates, prompt_tokens, completion_tokens)

    def worth(self, state: State, beliefs: Floats) -> Floats:
        """(n, sets) what asking each set of further models is expected to bring in quality, their prices not taken off.

        beliefs : (n, k) P(good), of those asked of their answer, of the others of the one they would give.
        No exchange rate matters to it. The sets are those of ``values`` in this state, in their order.
        """
        sets = self.values.get(state, {})
        columns = features(state, tuple(sets), beliefs, self.spread)
        found = [value(weights, x) for weights, x in zip(sets.values(), columns, strict=True)]
        return np.stack(found, axis=1) if found else np.empty((len(beliefs), 0))

    def gains(
        self,
        state: State,
        beliefs: Floats,
        costs_nanousd: Floats,
        able: Sequence[bool] | None = None,
        worth: Floats | None = None,
    ) -> Floats:
        """(n, k) what asking each model is expected to bring in quality, its own price not yet taken off.

        It is that of the best set in which the model is the cheapest, less the others' prices. Minus infinity for what
        is never asked in this state.   able, worth : see ``choose``.
        """
        gains = np.full(beliefs.shape, -np.inf)
        if len(state) >= self.depth:
            return gains
        if not self.values:
            return beliefs if not state else gains
        prices = self.prices(costs_nanousd)
        found = self.worth(state, beliefs) if worth is None else worth
        for at, more in enumerate(self.values.get(state, {})):
            if able is not None and not all(able[model] for model in more):
                continue
            later = found[:, at].copy()
            for model in more[1:]:
                later -= prices[:, model]
            gains[:, more[0]] = np.maximum(gains[:, more[0]], later)
        return gains

    def prices(self, costs_nanousd: Floats) -> Floats:
        """(n, k) costs in quality, by the exchange rate."""
        return costs_nanousd * (self.exchange / _NANO_PER_USD)

    def choose(
        self,
        state: State,
        beliefs: Floats,
        costs_nanousd: Floats,
        able: Sequence[bool] | None = None,
        worth: Floats | None = None,
    ) -> NDArray[np.intp]:
        """(n,) the model to ask next, −1 to stop and return the answer believed in most.

        able : which models can be asked at all (default: every one); those asked before never are.
        worth : what ``worth`` says of this state and these beliefs, where it is known already.
        """
        may = np.ones(len(self.models), dtype=bool) if able is None else np.asarray(able, dtype=bool).copy()
        may[list(state)] = False
        advantages = self.gains(state, beliefs, costs_nanousd, may.tolist(), worth) - self.prices(costs_nanousd)
        advantages[:, ~may] = -np.inf
        chosen = advantages.argmax(axis=1)
        best = advantages[np.arange(len(beliefs)), chosen]
        reference = self.models.index(self.reference)
        if not state:  # something has to be asked
            first = reference if may[reference] else int(np.argmax(may))
            return np.where(np.isfinite(best), chosen, first if may.any() else -1)
        chosen = np.where(best > 0, chosen, -1)
        if self.floor > 0 and may[reference]:
            low = beliefs[:, list(state)].max(axis=1) < self.floor
            chosen = np.where((chosen < 0) & low, reference, chosen)
        return chosen

    def to_document(self) -> dict[str, Any]:
        """Plain JSON values. The weights are one text, so that a file stays readable."""
        weights = [
            [" ".join(map(str, state)), " ".join(map(str, more)), list(weights)]
            for state, sets in self.values.items()
            for more, weights in sets.items()
        ]
        return {
            "models": list(self.models),
            "reference": self.reference,
            "exchange_per_usd": self.exchange,
            "rates_usd_per_mtok": [list(pair) for pair in self.rates],
            "depth": self.depth,
            "floor": self.floor,
            "spread": list(self.spread),
            "features": list(FEATURES),
            "values": json.dumps(weights, separators=(",", ":")),
        }

    @classmethod
    def from_document(cls, document: object) -> Self:
        """Raises StrategyError naming the field."""
        fields = Fields(document, "plan.")
        models = fields.take("models", list)
        if not all(isinstance(model, str) for model in models):
            raise StrategyError("plan.models: must be a list of names")
        if fields.take("features", list) != list(FEATURES):
            raise StrategyError("plan.features: this version reads others; run `spillway optimize` again")
        plan = cls(
            models=tuple(models),
            reference=fields.take("reference", str),
            exchange=fields.take("exchange_per_usd", float),
            rates=tuple(
                _numbers(pair, 2, "plan.rates_usd_per_mtok") for pair in fields.take("rates_usd_per_mtok", list)
            ),
            depth=fields.take("depth", int),
            floor=fields.take("floor", float),
            spread=_numbers(fields.take("spread", list), len(models), "plan.spread"),
            values=_values(fields.take("values", str), len(models)),
        )
        fields.done()
        return plan


def costs(rates: Sequence[tuple[float, float]], prompt_tokens: Floats, completion_tokens: Floats) -> Floats:
    """(n, k) nano-USD of one call each, at rates in US dollars per million input and output tokens."""
    read, written = np.array(rates, dtype=np.float64).T * 1000.0
    return np.asarray(prompt_tokens[:, None] * read + completion_tokens * written)


def prompt_tokens(query: Query) -> float:
    """About how many tokens a query has, the same for every model."""
    texts = (str(message.get("content") or "") for message in query.messages)
    return sum(_TOKENS_PER_MESSAGE + len(text) / _CHARS_PER_TOKEN for text in texts)


def features(state: State, sets: Sequence[State], beliefs: Floats, spread: Sequence[float]) -> list[Floats]:
    """For each set of further models (len(FEATURES), n) what it is valued by."""
    n = len(beliefs)
    nothing = np.zeros(n)
    asked = beliefs[:, list(state)]
    seen, worst = (asked.max(axis=1), asked.min(axis=1)) if state else (nothing, nothing)
    agreeing = (asked >= seen[:, None] - _EQUAL).sum(axis=1) / len(state) if state else nothing
    rising = lookahead(state, sets, beliefs, spread)
    known = (worst, agreeing, agreeing * seen)
    one, seen_squared = np.ones(n), seen * seen
    found = []
    for more, rise in zip(sets, rising, strict=True):
        best, mean = beliefs[:, more[0]], beliefs[:, more[0]]
        for model in more[1:]:
            best, mean = np.maximum(best, beliefs[:, model]), mean + beliefs[:, model]
        mean = mean / len(more)
        columns = (one, seen, seen_squared, best, best * seen, best * best, mean, mean * seen, rise, rise * seen)
        found.append(np.stack([*columns, *known]))
    return found


def lookahead(state: State, sets: Sequence[State], beliefs: Floats, spread: Sequence[float]) -> list[Floats]:
    """For each set of further models (n,) how far the largest belief is expected to rise once they are asked."""
    noise = _noise(beliefs.shape[1])
    seen = beliefs[:, list(state)].max(axis=1) if state else np.full(len(beliefs), -np.inf)
    base = seen if state else np.zeros(len(beliefs))
    known: dict[State, Floats] = {(): np.repeat(seen[:, None], _DRAWS, axis=1)}
    found = []
    for more in sets:
        for size in range(1, len(more) + 1):
            if more[:size] not in known:
                last = more[size - 1]
                moved = beliefs[:, [last]] + spread[last] * noise[last]
                known[more[:size]] = np.maximum(known[more[: size - 1]], moved)
        found.append(np.asarray(known[more].mean(axis=1) - base))
    return found


@functools.lru_cache(maxsize=64)
def _noise(k: int) -> Floats:
    """(k, draws) the same standard normal quantiles for each model, in an order of its own, the same everywhere."""
    quantiles = [NormalDist().inv_cdf((i + 0.5) / _DRAWS) for i in range(_DRAWS)]
    rows = []
    for model in range(k):
        chance = random.Random(model)
        keys = [chance.random() for _ in quantiles]
        rows.append([quantiles[i] for i in sorted(range(_DRAWS), key=keys.__getitem__)])
    return np.array(rows)


def further(state: State, k: int, depth: int) -> list[State]:
    """All sets of models that may be asked after a state, the smallest first."""
    rest = [model for model in range(k) if model not in state]
    return [more for size in range(1, depth - len(state) + 1) for more in itertools.combinations(rest, size)]


def value(weights: Sequence[float], x: Floats) -> Floats:
    """(n,) weighted sums of (f, n) features, summed in one order, so that one query and many give the same bits."""
    total = np.zeros(x.shape[1])
    for weight, row in zip(weights, x, strict=True):
        total = total + weight * row
    return total


def _values(text: str, n_models: int) -> dict[State, dict[State, tuple[float, ...]]]:
    try:
        rows = [(_state(state), _state(more), weights) for state, more, weights in json.loads(text)]
    except (ValueError, TypeError, AttributeError) as error:
        raise StrategyError("plan.values: must be a JSON list of [state, further models, weights]") from error
    values: dict[State, dict[State, tuple[float, ...]]] = {}
    for state, more, weights in rows:
        known = all(0 <= place < n_models for place in (*state, *more))
        ordered = sorted(set(state)) == list(state) and sorted(set(more)) == list(more)
        if not known or not ordered or not more or set(more) & set(state):
            raise StrategyError(
                f"plan.values: {list(state)}, {list(more)} are no state and further models of this plan"
            )
        values.setdefault(state, {})[more] = _numbers(weights, len(FEATURES), "plan.values")
    return values


def _state(text: str) -> State:
    return tuple(map(int, text.split()))


def _numbers(values: object, size: int, where: str) -> Any:
    if not isinstance(values, list) or len(values) != size:
        raise StrategyError(f"{where}: must be lists of {size} numbers")
    if not all(type(number) in (int, float) and np.isfinite(number) for number in values):
        raise StrategyError(f"{where}: must be finite numbers")
    return tuple(float(number) for number in values)
