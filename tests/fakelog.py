"""A small made-up log, and a scorer that reads its scores off the answers: cascades can be checked by hand on them."""

from collections.abc import Sequence
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from router.optimize.table import ScoreTable
from router.pricing import Price, PriceBook
from scorer.answer import Answer, Expectation, Query, Usage
from scorer.dataset import LoggedAnswer, LoggedQuery
from scorer.errors import UnknownModel

MODELS = {"small": (0.6, "0.1"), "middling": (0.75, "0.7"), "large": (0.9, "5")}  # skill, USD per million tokens


def fake_prices(models: Sequence[str] = tuple(MODELS)) -> PriceBook:
    rates = {model: Decimal(MODELS[model][1]) for model in models}
    return PriceBook(Price.flat(m, input_usd_per_mtok=rate, output_usd_per_mtok=2 * rate) for m, rate in rates.items())


def fake_log(n: int = 200, *, seed: int = 0, split: str | None = "train") -> list[LoggedQuery]:
    """Right answers say "right", wrong ones differ from model to model; each states how sure it is."""
    rng = np.random.default_rng(seed)
    queries = []
    for i in range(n):
        hard = rng.random()
        answers = {}
        for model, (skill, _) in MODELS.items():
            good = bool(rng.random() < skill + 0.3 * (0.5 - hard))
            sure = float(np.clip(rng.normal(0.75 if good else 0.35, 0.2), 0.01, 0.99))
            answers[model] = LoggedAnswer(
                answer=Answer(model=model, text=f"{'right' if good else 'wrong ' + model}|{sure:.3f}"),
                usage=Usage(prompt_tokens=int(rng.integers(20, 200)), completion_tokens=int(rng.integers(5, 300))),
                quality=float(good),
            )
        query = Query(id=f"q{i}", messages=({"role": "user", "content": f"question {seed}/{i}"},))
        labels = {model: logged.quality for model, logged in answers.items()}
        queries.append(LoggedQuery(dataset="fake", query=query, split=split, answers=answers, labels=labels))
    return queries


class FakeScorer:
    """As sure as the answer says it is, and surer where another answer agrees."""

    version = "sc_fake"

    def __init__(self, models: Sequence[str] = tuple(MODELS), trained_on: Sequence[LoggedQuery] = ()) -> None:
        self.models = frozenset(models)
        self._trained_on = frozenset(query.hash for query in trained_on)

    def doubt(self, query: Query, rate: float) -> None:
        return None

    def doubts_log(self, queries: Sequence[LoggedQuery], rate: float = 0.01) -> NDArray[np.bool_]:
        return np.zeros(len(queries), dtype=np.bool_)

    def score(self, query: Query, answer: Answer, others: Sequence[Answer] = ()) -> float:
        if answer.model not in self.models:
            raise UnknownModel(f"{answer.model} was not in the training log")
        said, _, sure = answer.text.partition("|")
        agree = sum(other.text.partition("|")[0] == said for other in others)
        return (float(sure) + agree) / (1 + agree)

    def score_log(self, queries: Sequence[LoggedQuery], model: str, others: Sequence[str] = ()) -> NDArray[np.float64]:
        def one(query: LoggedQuery) -> float:
            context = [query.answers[other].answer for other in others]
            return self.score(query.query, query.answers[model].answer, context)

        return np.array([one(query) for query in queries], dtype=np.float64)

    def trained_on(self, query_hash: str) -> bool:
        return query_hash in self._trained_on


class FakeBeliever(FakeScorer):
    """Believes in models by their skill until they have answered, then by what their answers say."""

    version = "sc_believes"

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(sorted(self.models))

    def expect(self, query: Query) -> dict[str, Expectation]:
        tokens = 50.0 + len(str(query.messages[0]["content"]))
        return {m: Expectation(p_good=MODELS[m][0], completion_tokens=tokens) for m in self.columns}

    def expect_log(self, queries: Sequence[LoggedQuery]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        expected = [[self.expect(query.query)[m] for m in self.columns] for query in queries]
        p = np.array([[one.p_good for one in row] for row in expected])
        return p, np.array([[one.completion_tokens for one in row] for row in expected])

    def believe(self, query: Query, answers: Sequence[Answer]) -> dict[str, float]:
        beliefs = {m: MODELS[m][0] for m in self.columns}
        for answer in answers:
            beliefs[answer.model] = self.score(query, answer, [other for other in answers if other is not answer])
        return beliefs

    def believe_log(self, queries: Sequence[LoggedQuery], context: Sequence[str]) -> NDArray[np.float64]:
        found = [self.believe(q.query, [q.answers[m].answer for m in context]) for q in queries]
        return np.array([[beliefs[m] for m in self.columns] for beliefs in found])


def random_table(n: int, k: int, seed: int, *, informative: float = 0.5) -> ScoreTable:
    """Labels, costs and scores drawn at random; ``informative`` in [0, 1] is how much a score tells of its label."""
    rng = np.random.default_rng(seed)
    skill = np.sort(rng.uniform(0.2, 0.95, k))
    quality = (rng.random((n, k)) < skill).astype(np.float64)
    cost = rng.integers(1, 100, (n, k)) * 3 ** np.arange(k)

    def scores(model: int, context: tuple[int, ...]) -> NDArray[np.float64]:
        own = np.random.default_rng([seed, model, *context])
        return np.round(informative * quality[:, model] + (1 - informative) * own.random(n), 2)

    return ScoreTable(
        models=tuple(f"m{i}" for i in range(k)),
        query_hashes=tuple(f"{i:064x}" for i in range(n)),
        quality=quality,
        cost_nanousd=cost.astype(np.int64),
        scores=scores,
    )
