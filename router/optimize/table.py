"""The table that strategies are tried on: quality, cost and scores of every model's answer to every logged query.

Knows logged queries, prices and a scorer's out-of-fold scores. Knows no strategy.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from router.errors import StrategyError
from router.pricing import PriceBook, price_of
from scorer.dataset import LoggedQuery

Scores = Callable[[int, tuple[int, ...]], NDArray[np.float64]]


class LogScorer(Protocol):
    """What the optimiser and the replay need of a scorer; ``scorer.scoring.Scorer`` has it."""

    @property
    def version(self) -> str:
        """Content hash of the artifact."""
        ...

    @property
    def models(self) -> frozenset[str]:
        """The models whose answers it can score."""
        ...

    def score_log(self, queries: Sequence[LoggedQuery], model: str, others: Sequence[str], /) -> NDArray[np.float64]:
        """(n,) calibrated P(good) of one model's answers given those of ``others``; out of fold where trained on."""
        ...

    def trained_on(self, query_hash: str, /) -> bool:
        """Whether the scorer was fitted on this query."""
        ...


class ScoreTable:
    """n queries by k models. Scores are computed once, when first asked for.

    models : k names.   query_hashes : n hashes.
    quality : (n, k) labels in [0, 1].   cost_nanousd : (n, k) int64.
    left_out : models of the log that are not in the table, each with the reason.
    groups : n names; queries of one group (a conversation) are never parted by a fold. Default: each its own.
    """

    def __init__(
        self,
        *,
        models: tuple[str, ...],
        query_hashes: tuple[str, ...],
        quality: NDArray[np.float64],
        cost_nanousd: NDArray[np.int64],
        scores: Scores,
        left_out: Mapping[str, str] | None = None,
        groups: tuple[str, ...] | None = None,
    ) -> None:
        shape = (len(query_hashes), len(models))
        if quality.shape != shape or cost_nanousd.shape != shape:
            raise StrategyError(f"a table of {shape} needs quality and cost of that shape, not {quality.shape}")
        if 0 in shape:
            raise StrategyError("a table needs at least one query and one model")
        self.models, self.query_hashes = models, query_hashes
        self.quality, self.cost_nanousd = quality, cost_nanousd
        self.left_out: Mapping[str, str] = left_out or {}
        self.groups = query_hashes if groups is None else groups
        self._compute = scores
        self._scores: dict[tuple[int, tuple[int, ...]], NDArray[np.float64]] = {}

    @classmethod
    def build(
        cls,
        queries: Sequence[LoggedQuery],
        scorer: LogScorer | None,
        prices: PriceBook,
        *,
        only_scored: bool = True,
    ) -> Self:
        """Put a log, today's prices and a scorer together.

        scorer : None if no score will be asked for.
        only_scored : leave out models that the scorer was not trained on.
        A model is left out as well if it did not answer every query or has no known price.
        Raises StrategyError if there is no query or no model is left.
        """
        if not queries:
            raise StrategyError("there is no query to work on; does the split exist in the data?")
        left_out = _left_out(queries, prices, scorer.models if scorer is not None and only_scored else None)
        names = tuple(sorted({model for query in queries for model in query.answers} - left_out.keys()))
        if not names:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in sorted(left_out.items())) or "no answers at all"
            raise StrategyError(f"no model can be used on this data ({reasons})")

        def scores(model: int, context: tuple[int, ...]) -> NDArray[np.float64]:
            if scorer is None:
                raise StrategyError(f"the answers of {names[model]!r} must be scored, and there is no scorer")
            return scorer.score_log(queries, names[model], [names[other] for other in context])

        return cls(
            models=names,
            query_hashes=tuple(query.hash for query in queries),
            quality=np.array([[query.answers[m].quality for m in names] for query in queries], dtype=np.float64),
            cost_nanousd=costs(queries, names, prices),
            scores=scores,
            left_out=left_out,
            groups=tuple(query.group or query.hash for query in queries),
        )

    @property
    def n(self) -> int:
        """How many queries."""
        return len(self.query_hashes)

    def scores(self, model: int, context: tuple[int, ...] = ()) -> NDArray[np.float64]:
        """(n,) scores of a model's answers, given that the models of ``context`` (in any order) answered before."""
        key = (model, tuple(sorted(context)))
        if key not in self._scores:
            scores = np.asarray(self._compute(*key), dtype=np.float64)
            if scores.shape != (self.n,) or not np.isfinite(scores).all():
                raise StrategyError(f"the scorer gave no finite score for every answer of {self.models[model]!r}")
            self._scores[key] = scores
        return self._scores[key]

    def take(self, rows: NDArray[np.intp]) -> "ScoreTable":
        """The same table of some of the queries, in the order of ``rows``."""
        return ScoreTable(
            models=self.models,
            query_hashes=tuple(self.query_hashes[row] for row in rows),
            quality=self.quality[rows],
            cost_nanousd=self.cost_nanousd[rows],
            scores=lambda model, context: self.scores(model, context)[rows],
            left_out=self.left_out,
            groups=tuple(self.groups[row] for row in rows),
        )

    def reference(self) -> int:
        """The best single model: highest mean quality, among equals the cheapest."""
        means, spent = self.quality.mean(axis=0), self.cost_nanousd.sum(axis=0)
        return int(np.lexsort((spent, -means))[0])


def costs(queries: Sequence[LoggedQuery], models: Sequence[str], prices: PriceBook) -> NDArray[np.int64]:
    """(n, k) cost of each logged answer at today's prices, in nano-USD. Raises StrategyError for an unknown price."""
    known = []
    for model in models:
        price = prices.price(model)
        if price is None:
            raise StrategyError(f"model {model!r}: its price is not known; add it to the price list")
        known.append(price)
    amounts = [[price_of(query.answers[price.model].usage, price).nanousd for price in known] for query in queries]
    return np.array(amounts, dtype=np.int64).reshape(len(queries), len(models))


def _left_out(queries: Sequence[LoggedQuery], prices: PriceBook, scored: frozenset[str] | None) -> dict[str, str]:
    answered = Counter(model for query in queries for model in query.answers)
    reasons = {}
    for model, count in answered.items():
        if count < len(queries):
            reasons[model] = f"answered only {count} of {len(queries)} queries"
        elif prices.price(model) is None:
            reasons[model] = "its price is not known; add it to the price list"
        elif scored is not None and model not in scored:
            reasons[model] = "the scorer was not trained on its answers"
    return reasons
