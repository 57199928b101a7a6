"""The table that strategies are tried on: quality, cost and scores of every model's answer to every logged query.

Knows logged queries, prices and a scorer's out-of-fold scores. Knows no strategy.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from router.errors import StrategyError
from router.mixture import model_of
from router.paid import models_paid, paid_nanousd
from router.plan import costs as plan_costs
from router.plan import prompt_tokens
from router.pricing import PriceBook
from scorer.categories import Category
from scorer.dataset import LoggedQuery

Floats = NDArray[np.float64]
Scores = Callable[[int, tuple[int, ...]], Floats]
Beliefs = Callable[[tuple[int, ...]], Floats]


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

    def doubts_log(self, queries: Sequence[LoggedQuery], /) -> NDArray[np.bool_]:
        """(n,) whether a query is unlike the training queries, so that it would not be scored."""
        ...

    def score_log(self, queries: Sequence[LoggedQuery], model: str, others: Sequence[str], /) -> NDArray[np.float64]:
        """(n,) calibrated P(good) of one model's answers given those of ``others``; out of fold where trained on."""
        ...

    def trained_on(self, query_hash: str, /) -> bool:
        """Whether the scorer was fitted on this query."""
        ...


@runtime_checkable
class LogBeliever(Protocol):
    """What plans need beside; ``scorer.scoring.Scorer`` has it."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The models in the order in which arrays have them."""
        ...

    def expect_log(self, queries: Sequence[LoggedQuery], /) -> tuple[Floats, Floats]:
        """(n, k) P(good) before any call, and (n, k) expected completion tokens; out of fold where trained on."""
        ...

    def believe_log(self, queries: Sequence[LoggedQuery], context: Sequence[str], /) -> Floats:
        """(n, k) P(good) of every model's answer, given those of ``context``; out of fold where trained on."""
        ...


@runtime_checkable
class LogCategoriser(Protocol):
    """What strategies with an entry need beside; ``scorer.scoring.Scorer`` has it."""

    def categorise_log(self, queries: Sequence[LoggedQuery], /) -> Sequence[Category | None]:
        """Each query's likeliest category, None of one unlike the log; out of fold where trained on."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What is known before and between calls of n queries and k models.

    beliefs : by the models that were asked, (n, k) P(good) of the answer that each gave or would give.
    prompt_tokens : (n,) about how many.   completion_tokens : (n, k) how many each model's answer is expected to have.
    rates : US dollars per million input and output tokens, by model.
    """

    beliefs: Beliefs
    prompt_tokens: Floats
    completion_tokens: Floats
    rates: tuple[tuple[float, float], ...]


class ScoreTable:
    """n queries by k models. Scores and beliefs are computed once, when first asked for.

    models : k names.   query_hashes : n hashes.
    quality : (n, k) labels in [0, 1].   cost_nanousd : (n, k) int64.
    left_out : models of the log that are not in the table, each with the reason.
    groups : n names; queries of one group (a conversation) are never parted by a fold. Default: each its own.
    outlook : gives what plans go by, when first asked for; None where nothing of the kind will be.
    sort : the same of the queries' categories, by which some strategies are entered.
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
        outlook: Callable[[], Outlook] | None = None,
        sort: Callable[[], Sequence[Category | None]] | None = None,
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
        self._see = outlook
        self._seen: Outlook | None = None
        self._sort = sort
        self._categories: tuple[Category | None, ...] | None = None
        self._beliefs: dict[tuple[int, ...], Floats] = {}

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
            outlook=_outlook(queries, names, scorer, prices),
            sort=_sort(queries, scorer),
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

    @property
    def foresees(self) -> bool:
        """Whether there is an outlook, so that plans can be tried."""
        return self._see is not None

    @property
    def outlook(self) -> Outlook:
        """Raises StrategyError if the table was made without one."""
        if self._seen is None:
            if self._see is None:
                raise StrategyError("plans go by what a scorer expects, and there is none that expects anything")
            self._seen = self._see()
        return self._seen

    @property
    def categories(self) -> tuple[Category | None, ...]:
        """Each query's likeliest category. Raises StrategyError if the table was made without any."""
        if self._categories is None:
            if self._sort is None:
                raise StrategyError("queries enter by their category, and the scorer tells none")
            self._categories = tuple(self._sort())
        return self._categories

    def beliefs(self, asked: tuple[int, ...]) -> Floats:
        """(n, k) P(good) of every model's answer, given that the models of ``asked`` (in any order) have answered."""
        key = tuple(sorted(asked))
        if key not in self._beliefs:
            beliefs = np.asarray(self.outlook.beliefs(key), dtype=np.float64)
            if beliefs.shape != self.quality.shape or not np.isfinite(beliefs).all():
                raise StrategyError("the scorer gave no finite belief for every model")
            self._beliefs[key] = beliefs
        return self._beliefs[key]

    def expected_cost(self) -> Floats:
        """(n, k) nano-USD that a call is expected to cost before it is made."""
        outlook = self.outlook
        return plan_costs(outlook.rates, outlook.prompt_tokens, outlook.completion_tokens)

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
            outlook=None if self._see is None else lambda: self._outlook_of(rows),
            sort=None if self._sort is None else lambda: [self.categories[row] for row in rows],
        )

    def _outlook_of(self, rows: NDArray[np.intp]) -> Outlook:
        outlook = self.outlook
        return Outlook(
            beliefs=lambda asked: self.beliefs(asked)[rows],
            prompt_tokens=outlook.prompt_tokens[rows],
            completion_tokens=outlook.completion_tokens[rows],
            rates=outlook.rates,
        )

    def reference(self) -> int:
        """The best single model: highest mean quality, among equals the cheapest."""
        means, spent = self.quality.mean(axis=0), self.cost_nanousd.sum(axis=0)
        return int(np.lexsort((spent, -means))[0])


def _sort(queries: Sequence[LoggedQuery], scorer: object) -> Callable[[], Sequence[Category | None]] | None:
    return partial(scorer.categorise_log, queries) if isinstance(scorer, LogCategoriser) else None


def _outlook(
    queries: Sequence[LoggedQuery], names: tuple[str, ...], scorer: object, prices: PriceBook
) -> Callable[[], Outlook] | None:
    if not isinstance(scorer, LogBeliever):
        return None
    believer = scorer

    def see() -> Outlook:
        unknown = sorted(set(names) - set(believer.columns))
        if unknown:
            raise StrategyError(f"the scorer expects nothing of {', '.join(unknown)}: it was not in its training log")
        columns = [believer.columns.index(name) for name in names]
        expected, completion_tokens = believer.expect_log(queries)

        def beliefs(asked: tuple[int, ...]) -> Floats:
            found = believer.believe_log(queries, [names[model] for model in asked]) if asked else expected
            return np.asarray(found[:, columns])

        return Outlook(
            beliefs=beliefs,
            prompt_tokens=np.array([prompt_tokens(query.query) for query in queries]),
            completion_tokens=np.asarray(completion_tokens[:, columns]),
            rates=rates_of(names, prices),
        )

    return see


def rates_of(models: Sequence[str], prices: PriceBook) -> tuple[tuple[float, float], ...]:
    """US dollars per million input and output tokens of each model. Raises StrategyError for an unknown price."""
    rates = []
    for model in models:
        price = prices.price(model)
        if price is None:
            raise StrategyError(f"model {model!r}: its price is not known; add it to the price list")
        rates.append((float(price.rates["input"]), float(price.rates["output"])))
    return tuple(rates)


def costs(queries: Sequence[LoggedQuery], models: Sequence[str], prices: PriceBook) -> NDArray[np.int64]:
    """(n, k) cost of each logged answer at today's prices, in nano-USD. Raises StrategyError for an unknown price."""
    called = {name for query in queries for model in models for name in models_paid(query.answers[model])}
    known = {name: prices.price(name) for name in called.union(models)}
    for name, price in sorted(known.items()):
        if price is None:
            raise StrategyError(f"model {name!r}: its price is not known; add it to the price list")
    amounts = [[paid_nanousd(query.answers[model], known.get) for model in models] for query in queries]
    return np.array(amounts, dtype=np.int64).reshape(len(queries), len(models))


def _left_out(queries: Sequence[LoggedQuery], prices: PriceBook, scored: frozenset[str] | None) -> dict[str, str]:
    answered = Counter(model for query in queries for model in query.answers)
    paid = {(model, name) for query in queries for model, given in query.answers.items() for name in models_paid(given)}
    unpriced = {model: name for model, name in sorted(paid) if prices.price(name) is None}
    reasons = {}
    for model, count in answered.items():
        if count < len(queries):
            reasons[model] = f"answered only {count} of {len(queries)} queries"
        elif model_of(model) != model:
            reasons[model] = "it is a sample of another model, which no strategy asks for by itself"
        elif unpriced.get(model, model) != model:
            reasons[model] = f"it is made of answers of {unpriced[model]}, whose price is not known"
        elif model in unpriced:
            reasons[model] = "its price is not known; add it to the price list"
        elif scored is not None and model not in scored:
            reasons[model] = "the scorer was not trained on its answers"
    return reasons
