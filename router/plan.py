"""A plan: which model to ask next, and when to stop, from beliefs about every model's answer and the costs of asking.

Knows beliefs, costs and the arithmetic between them, for one query or many at once. Knows no scorer, no call and no
table: whoever carries a plan out, live or in a replay, hands it what is believed.

A state is the set of models that were asked. In a state, asking model m is worth what the best end from there is
expected to bring above stopping now, less m's own price. What it brings is a fitted polynomial of a few numbers that
are known at the time (``FEATURES``): optimal stopping by regression (Longstaff and Schwartz, "Valuing American options
by simulation", Review of Financial Studies 2001), on calibrated beliefs. How it is fitted: ``optimize.continuation``.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from router.errors import StrategyError
from router.fields import Fields
from scorer.answer import Query

Floats = NDArray[np.float64]
State = tuple[int, ...]
"""The models that were asked, ascending by their place in the plan."""

FEATURES = ("one", "seen", "seen²", "next", "next·seen", "next²", "price", "price·seen")
"""seen: belief in the best answer so far; next: that the model's answer would be good; price: the reference's, in
quality."""

_NANO_PER_USD = 1e9
_CHARS_PER_TOKEN = 4.0  # a rough measure is enough: it weighs one model's price against another's
_TOKENS_PER_MESSAGE = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How one query is answered.

    models : all that may be asked, the cheapest first.   reference : the one whose price scales what is to come.
    exchange : lambda, the quality that one US dollar must bring; the higher, the sooner it stops.
    rates : US dollars per million input and output tokens, by model, as of when the plan was made.
    depth : calls at most.
    values : by state and next model the weights of ``FEATURES``. What is absent is never asked; if it is empty one
        model is asked, the one with the best belief for its price.
    floor : before the reference was asked, an answer is returned only if it is believed in at least so much. 0 leaves
        the plan as it was fitted; certificates are earned by raising it.
    """

    models: tuple[str, ...]
    reference: str
    exchange: float
    rates: tuple[tuple[float, float], ...]
    depth: int
    values: Mapping[State, Mapping[int, tuple[float, ...]]]
    floor: float = 0.0

    def __post_init__(self) -> None:
        if not self.models or len(set(self.models)) != len(self.models):
            raise StrategyError("plan.models: must be different models, at least one")
        if self.reference not in self.models:
            raise StrategyError(f"plan.reference: {self.reference!r} is none of plan.models")
        if len(self.rates) != len(self.models) or any(rate < 0 for pair in self.rates for rate in pair):
            raise StrategyError("plan.rates: must be two rates of at least 0 for each of plan.models")
        if not 0 <= self.exchange < np.inf:
            raise StrategyError(f"plan.exchange: must be at least 0, not {self.exchange:g}")
        if not 1 <= self.depth <= len(self.models):
            raise StrategyError(f"plan.depth: must be between 1 and {len(self.models)}, not {self.depth}")
        if not 0 <= self.floor <= 1:
            raise StrategyError(f"plan.floor: must be between 0 and 1, not {self.floor:g}")

    def under(self, multiplier: float) -> Self:
        """The plan with every dollar weighing ``multiplier`` times as much: under pressure it spends less."""
        return replace(self, exchange=self.exchange * multiplier)

    def costs(self, prompt_tokens: Floats, completion_tokens: Floats) -> Floats:
        """(n, k) expected nano-USD of one call from (n,) prompt and (n, k) expected completion tokens."""
        return costs(self.rates, prompt_tokens, completion_tokens)

    def gains(self, state: State, beliefs: Floats, costs_nanousd: Floats) -> Floats:
        """(n, k) what asking each model is expected to bring in quality, its own price not yet taken off.

        beliefs : (n, k) P(good), of those asked of their answer, of the others of the one they would give.
        Minus infinity for what is never asked in this state.
        """
        gains = np.full(beliefs.shape, -np.inf)
        if len(state) >= self.depth:
            return gains
        if not self.values:
            return beliefs if not state else gains
        price = self.prices(costs_nanousd)[:, self.models.index(self.reference)]
        for model, weights in self.values.get(state, {}).items():
            gains[:, model] = value(weights, features(state, model, beliefs, price))
        return gains

    def prices(self, costs_nanousd: Floats) -> Floats:
        """(n, k) costs in quality, by the exchange rate."""
        return costs_nanousd * (self.exchange / _NANO_PER_USD)

    def choose(
        self, state: State, beliefs: Floats, costs_nanousd: Floats, able: Sequence[bool] | None = None
    ) -> NDArray[np.intp]:
        """(n,) the model to ask next, −1 to stop and return the answer believed in most.

        able : which models can be asked at all (default: every one); those asked before never are.
        """
        advantages = self.gains(state, beliefs, costs_nanousd) - self.prices(costs_nanousd)
        may = np.ones(len(self.models), dtype=bool) if able is None else np.asarray(able, dtype=bool).copy()
        may[list(state)] = False
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
            [" ".join(map(str, state)), model, list(weights)]
            for state, nexts in sorted(self.values.items())
            for model, weights in sorted(nexts.items())
        ]
        return {
            "models": list(self.models),
            "reference": self.reference,
            "exchange_per_usd": self.exchange,
            "rates_usd_per_mtok": [list(pair) for pair in self.rates],
            "depth": self.depth,
            "floor": self.floor,
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


def features(state: State, model: int, beliefs: Floats, price: Floats) -> Floats:
    """(len(FEATURES), n) what asking ``model`` next is valued by."""
    seen = beliefs[:, list(state)].max(axis=1) if state else np.zeros(len(beliefs))
    after = beliefs[:, model]
    return np.stack([np.ones(len(beliefs)), seen, seen * seen, after, after * seen, after * after, price, price * seen])


def value(weights: Sequence[float], x: Floats) -> Floats:
    """(n,) weighted sums of (f, n) features, summed in one order, so that one query and many give the same bits."""
    total = np.zeros(x.shape[1])
    for weight, row in zip(weights, x, strict=True):
        total = total + weight * row
    return total


def _values(text: str, n_models: int) -> dict[State, dict[int, tuple[float, ...]]]:
    try:
        rows = [(tuple(map(int, state.split())), int(model), weights) for state, model, weights in json.loads(text)]
    except (ValueError, TypeError, AttributeError) as error:
        raise StrategyError("plan.values: must be a JSON list of [state, model, weights]") from error
    values: dict[State, dict[int, tuple[float, ...]]] = {}
    for state, model, weights in rows:
        known = all(0 <= place < n_models for place in (*state, model))
        if not known or sorted(set(state)) != list(state) or model in state:
            raise StrategyError(f"plan.values: {list(state)}, {model} is no state and next model of this plan")
        values.setdefault(state, {})[model] = _numbers(weights, len(FEATURES), "plan.values")
    return values


def _numbers(values: object, size: int, where: str) -> Any:
    if not isinstance(values, list) or len(values) != size:
        raise StrategyError(f"{where}: must be lists of {size} numbers")
    if not all(type(number) in (int, float) and np.isfinite(number) for number in values):
        raise StrategyError(f"{where}: must be finite numbers")
    return tuple(float(number) for number in values)
