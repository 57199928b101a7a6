"""Where queries enter, carried out: live as in a replay, and as before wherever a category cannot be relied on."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from router.backends.backend import Call
from router.backends.pool import Pool
from router.cascade import Cascade
from router.entering import enter, lacks
from router.optimize.carried import carry_out
from router.optimize.certify import path_of
from router.optimize.columns import columns
from router.optimize.floors import carried
from router.optimize.table import ScoreTable
from router.outcome import Outcome
from router.pricing import price_of
from router.replay import replay
from scorer.answer import Query
from scorer.categories import Category
from scorer.dataset import LoggedQuery
from scorer.errors import ScorerError
from tests.fakelog import FakeScorer, fake_log, fake_prices
from tests.unit.router.test_entry import entered
from tests.unit.router.test_replay import THREE, Forgetful, Recorded


class Sorting(FakeScorer):
    """Tells a query's category by its number: law, sums, unsure of law, history, unlike the log."""

    categories = ("history", "law", "sums")

    def categorise(self, query: Query) -> Category | None:
        told = [("law", 0.9), ("sums", 0.8), ("law", 0.3), ("history", 1.0), None][int(query.id[1:]) % 5]
        return None if told is None else Category(name=told[0], p=told[1])

    def categorise_log(self, queries: Sequence[LoggedQuery]) -> list[Category | None]:
        return [self.categorise(each.query) for each in queries]


class Broken(Sorting):
    def categorise(self, query: Query) -> Category | None:
        raise ScorerError("no")


async def test_live_and_in_a_replay_queries_enter_alike() -> None:
    queries, prices, scorer, strategy = fake_log(150), fake_prices(), Sorting(), entered()
    live = Cascade({model: Pool.of(Recorded(model, queries)) for model in strategy.models})
    table = ScoreTable.build(queries, scorer, prices)
    done = carry_out(table, strategy)
    why: Counter[str] = Counter()
    for row, query in enumerate(queries):
        call = Call(request_id=query.query.id, body={"messages": list(query.query.messages)})
        [outcome] = [o async for o in live.run(query.query, call, strategy, scorer, Forgetful(), live=False)]
        assert isinstance(outcome, Outcome)
        assert outcome.answered is not None
        assert outcome.entered is not None
        asked = [attempt.stage for attempt in outcome.attempts]
        assert asked == np.flatnonzero(done.called[row]).tolist()
        assert (asked[0], outcome.answered.stage) == (outcome.entered.place, done.returned[row])
        spent = 0
        for attempt in outcome.attempts:
            price = prices.price(attempt.model)
            assert price is not None
            assert attempt.usage is not None
            spent += price_of(attempt.usage, price).nanousd
        assert spent == done.cost_nanousd[row]
        why[outcome.entered.why or f"from {outcome.entered.model}"] += 1
    assert why == {"from middling": 30, "from large": 30, "unsure": 30, "asks_all": 30, "unlike": 30}
    report = replay(strategy, scorer, queries, prices)
    assert report.cost_nanousd == int(done.cost_nanousd.sum())
    assert [stage.calls for stage in report.stages] == done.called.sum(axis=0).tolist()
    plain = carry_out(table, THREE)
    moved = np.array([int(query.query.id[1:]) % 5 < 2 for query in queries])
    assert (done.quality[~moved] == plain.quality[~moved]).all()
    assert not done.called[moved, 0].any()


def test_a_failing_scorer_keeps_no_stage_from_a_query() -> None:
    query = fake_log(1)[0].query
    for scorer, why in ((Broken(), "failed"), (FakeScorer(), "unlike")):
        told = enter(entered(), scorer, query)
        assert told is not None
        assert (told.place, told.skipped, told.why) == (0, (), why)
    assert enter(THREE, Sorting(), query) is None


def test_what_a_decision_tells() -> None:
    told = enter(entered(), Sorting(), fake_log(1)[0].query)
    assert told is not None
    assert told.to_document() == {
        "entered_at_tier": 2,
        "model": "middling",
        "category": "law",
        "probability": 0.9,
        "skipped": ["small"],
        "why": None,
    }


def test_a_certificate_is_earned_with_the_entry() -> None:
    table = ScoreTable.build(fake_log(200), Sorting(), fake_prices())
    path = path_of(table, entered())
    assert all(step.entry == entered().entry for step in path)
    seen = carried(table, path, "quality_drop", columns(entered(), table)[1])
    assert seen.cost_nanousd[-1].tolist() == carry_out(table, entered()).cost_nanousd.tolist()


@pytest.mark.parametrize(
    ("scorer", "said"), [(FakeScorer(), "tells no categories"), (None, "tells no categories"), (Sorting(), None)]
)
def test_a_scorer_that_cannot_tell_them_is_named(scorer: object, said: str | None) -> None:
    why = lacks(entered(), scorer)
    assert why is None if said is None else said in (why or "")
    assert lacks(THREE, scorer) is None


def test_a_category_that_it_does_not_know_is_named() -> None:
    scorer = Sorting()
    scorer.categories = ("law",)  # type: ignore[assignment]
    assert lacks(entered(), scorer) == "knows no category sums, by which the strategy is entered"
