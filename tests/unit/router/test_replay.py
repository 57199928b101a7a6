"""A replay is what the live cascade would have done: the same ways, to the nano-dollar, and honest comparisons."""

import json
import math
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from router.backends.backend import Call, Chunk, Reply
from router.backends.pool import Pool
from router.cascade import Cascade
from router.errors import StrategyError
from router.optimize.choose import choose
from router.optimize.selection import Rule
from router.optimize.table import ScoreTable
from router.outcome import Attempt, Outcome
from router.pricing import PriceBook, price_of
from router.replay import replay
from router.strategy import Stage, Strategy
from router.trial import Opening
from scorer.dataset import LoggedQuery, read_log
from tests.fakelog import FakeScorer, fake_log, fake_prices


def cascade(*stages: tuple[str, float | None], version: str | None = "sc_fake") -> Strategy:
    return Strategy.of(
        [Stage(model=model, threshold=threshold) for model, threshold in stages],
        reference_model="large",
        safe_model="large",
        scorer_version=version,
    )


THREE = cascade(("small", 0.7), ("middling", 0.6), ("large", None))


class Recorded:
    """A backend that says what the log says."""

    def __init__(self, model: str, queries: Sequence[LoggedQuery]) -> None:
        self.model = model
        self._answers = {query.query.id: query.answers[model] for query in queries}

    async def complete(self, call: Call) -> Reply:
        logged = self._answers[call.request_id]
        return Reply(answer=logged.answer, usage=logged.usage, body={}, latency_s=0.0)

    async def stream(self, call: Call) -> AsyncGenerator[Chunk]:
        yield Chunk(body=None, reply=await self.complete(call))

    async def aclose(self) -> None: ...


class Forgetful:
    """A log that refuses nothing and keeps nothing."""

    async def open(self, opening: Opening) -> None: ...

    def close(self, attempt: Attempt) -> None: ...


async def test_it_does_what_the_live_cascade_does() -> None:
    queries, prices, scorer = fake_log(120), fake_prices(), FakeScorer()
    live = Cascade({model: Pool.of(Recorded(model, queries)) for model in THREE.models})
    calls, returned = [0, 0, 0], [0, 0, 0]
    spent, good = 0, 0.0
    for query in queries:
        call = Call(request_id=query.query.id, body={"messages": list(query.query.messages)})
        [outcome] = [o async for o in live.run(query.query, call, THREE, scorer, Forgetful(), live=False)]
        assert isinstance(outcome, Outcome)
        assert outcome.answered is not None
        for attempt in outcome.attempts:
            price = prices.price(attempt.model)
            assert price is not None
            assert attempt.usage is not None
            spent += price_of(attempt.usage, price).nanousd
            calls[attempt.stage] += 1
        returned[outcome.answered.stage] += 1
        good += query.answers[outcome.answered.model].quality
    report = replay(THREE, scorer, queries, prices)
    assert report.cost_nanousd == spent
    assert report.quality == pytest.approx(good / len(queries))
    assert [stage.calls for stage in report.stages] == calls
    assert [stage.accepted for stage in report.stages] == returned
    assert min(returned) > 0  # every stage was put to the test


def test_the_report_has_the_fields_that_others_read() -> None:
    document = replay(THREE, FakeScorer(), fake_log(50), fake_prices()).to_document()
    assert json.loads(json.dumps(document)) == json.loads(json.dumps(document, allow_nan=False))
    for field in ("n_queries", "quality", "cost_usd_per_1k", "saving", "quality_delta"):
        assert isinstance(document[field], int | float)
    assert set(document["reference"]) == {"model", "quality", "cost_usd_per_1k"}
    assert document["strategy"] == {"id": THREE.id, "kind": "threshold"}
    assert len(document["quality_delta_ci95"]) == len(document["saving_ci95"]) == 2
    assert [set(stage) for stage in document["stages"]] == [{"model", "threshold", "calls", "accepted"}] * 3


def test_numbers_are_those_of_the_log() -> None:
    queries, prices = fake_log(80), fake_prices()
    report = replay(cascade(("middling", None), version=None), None, queries, prices)
    price, dear = prices.price("middling"), prices.price("large")
    assert price is not None
    assert dear is not None
    spent = sum(price_of(query.answers["middling"].usage, price).nanousd for query in queries)
    base = sum(price_of(query.answers["large"].usage, dear).nanousd for query in queries)
    assert (report.cost_nanousd, report.reference_cost_nanousd) == (spent, base)
    assert report.saving == pytest.approx(1 - spent / base)
    assert report.cost_usd_per_1k == pytest.approx(spent / 80 / 1e6)
    delta = np.mean([query.answers["middling"].quality - query.answers["large"].quality for query in queries])
    assert report.quality_delta == pytest.approx(delta)
    low, high = report.quality_delta_ci95
    assert low <= report.quality_delta <= high
    assert report.saving_ci95 is not None
    assert report.saving_ci95[0] <= (report.saving or 0) <= report.saving_ci95[1]


def test_what_it_is_compared_with() -> None:
    report = replay(THREE, FakeScorer(), fake_log(400), fake_prices())
    assert report.oracle.quality >= max(report.quality, report.reference.quality)
    assert report.random.cost_usd_per_1k == pytest.approx(report.cost_usd_per_1k)
    assert report.random.quality < report.quality  # the scores tell something
    assert report.cheapest_equal.model is not None
    itself = replay(cascade(("large", None), version=None), None, fake_log(400), fake_prices())
    assert itself.saving == itself.quality_delta == 0
    assert itself.random.quality == pytest.approx(itself.quality)


def equal_of(*fails: int) -> str | None:
    """Of 60 queries; the small model fails on these of each ten, the large one on the first."""
    queries = []
    for row, query in enumerate(fake_log(60)):
        small = replace(query.answers["small"], quality=float(row % 10 not in fails))
        large = replace(query.answers["large"], quality=float(row % 10 != 0))
        queries.append(replace(query, answers={"small": small, "large": large}))
    return replay(cascade(("large", None), version=None), None, queries, fake_prices()).cheapest_equal.model


def test_a_cheap_model_is_equal_only_where_that_is_shown() -> None:
    assert equal_of(1) == "large"  # as good on average, on so few queries that it shows nothing
    assert equal_of() == equal_of(0) == "small"
    assert equal_of(1, 2, 3) == "large"


def test_a_strategy_that_a_single_model_beats_is_told_so() -> None:
    dear_detour = cascade(("middling", 1.0), ("large", None))
    told = replay(dear_detour, FakeScorer(), fake_log(300), fake_prices()).warnings
    assert any("no better here than large alone" in warning for warning in told)


def test_a_reference_that_costs_nothing_leaves_savings_unknown() -> None:
    free = PriceBook(
        replace(price, rates=dict.fromkeys(price.rates, type(price.rates["input"])(0))) for price in fake_prices()
    )
    report = replay(THREE, FakeScorer(), fake_log(10), free)
    assert report.saving is None
    assert report.saving_ci95 is None
    assert report.saving_against_equal is None


def test_queries_that_were_used_before_are_warned_of() -> None:
    old, new = fake_log(60, seed=1), fake_log(40, seed=2)
    scorer = FakeScorer(trained_on=old)
    table = ScoreTable.build(old, scorer, fake_prices())
    strategy = choose(table, Rule(goal="match-best", caution=0), scorer_version=scorer.version).strategy
    assert strategy.needs_scorer
    fresh = replay(strategy, scorer, new, fake_prices())
    assert (fresh.trained_on, fresh.chosen_on, fresh.warnings) == (0, 0, ())
    mixed = replay(strategy, scorer, [*old, *new], fake_prices())
    assert (mixed.trained_on, mixed.chosen_on) == (60, 60)
    assert any("60 of 100 queries" in w and "chosen on" in w for w in mixed.warnings)
    assert any("60 of 100 queries" in w and "out of fold" in w for w in mixed.warnings)


def test_a_strategy_that_does_not_fit_is_refused() -> None:
    queries, prices = fake_log(5), fake_prices()
    with pytest.raises(StrategyError, match="belongs to the scorer sc_other, not to sc_fake"):
        replay(cascade(("small", 0.5), ("large", None), version="sc_other"), FakeScorer(), queries, prices)
    with pytest.raises(StrategyError, match="it needs the scorer sc_fake"):
        replay(THREE, None, queries, prices)
    with pytest.raises(StrategyError, match="stage model 'alien': has no answers in the data"):
        replay(cascade(("alien", 0.5), ("large", None)), FakeScorer(), queries, prices)
    with pytest.raises(StrategyError, match="reference model 'large': its price is not known"):
        replay(cascade(("small", None), version=None), None, queries, fake_prices(["small"]))


@pytest.mark.data
def test_the_best_single_model_of_real_answers_costs_what_the_data_says(replay_data: Path) -> None:
    queries = read_log([replay_data / "zeroeval_gsm.jsonl.gz"]).queries
    model = "claude-3-5-sonnet-20241022"
    single = Strategy.of([Stage(model=model)], reference_model=model, safe_model=model)
    report = replay(single, None, queries, PriceBook.load(replay_data / "prices.json"))
    assert math.isclose(report.cost_usd_per_1k, 2.49, abs_tol=0.005)
    assert math.isclose(report.quality, 0.964, abs_tol=0.0005)
    assert math.isclose(report.oracle.quality, 0.989, abs_tol=0.0005)
    assert 0.05 < report.oracle.cost_usd_per_1k < 0.056
