"""Choosing plans: they pay where they can, do live what they did on the table, and are kept in files as they are."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from router.errors import StrategyError
from router.optimize.carried import carry_out
from router.optimize.choose import choose
from router.optimize.selection import Goal, Rule
from router.optimize.table import ScoreTable
from router.planned import Course
from router.strategy import Kind, Strategy
from scorer.answer import Answer
from tests.fakelog import MODELS, FakeBeliever, fake_log, fake_prices

MATCH = Rule(goal="match-best", caution=0.0)
MORE = Rule(goal="max-quality-at-best-cost", caution=0.0)


@pytest.fixture(scope="module")
def table() -> ScoreTable:
    return ScoreTable.build(fake_log(600), FakeBeliever(), fake_prices())


@pytest.mark.parametrize("kind", ["cascade_route", "route", None])
def test_a_choice_says_what_it_is_worth_and_survives_its_file(
    table: ScoreTable, kind: Kind | None, tmp_path: Path
) -> None:
    choice = choose(table, MATCH, scorer_version="sc_believes", kind=kind)
    assert choice.by_kind.keys() >= ({kind} if kind else {"threshold", "cascade_route", "route"})
    choice.strategy.dump(tmp_path / "strategy.json")
    assert Strategy.load(tmp_path / "strategy.json") == choice.strategy


@pytest.mark.parametrize("kind", ["cascade_route", "route"])
def test_a_plan_keeps_what_other_exchange_rates_came_to(table: ScoreTable, kind: Kind) -> None:
    choice = choose(table, MATCH, scorer_version="sc_believes", kind=kind)
    strategy = choice.strategy
    assert strategy.plan is not None
    assert strategy.evidence is not None
    tried = strategy.evidence.frontier
    assert len(tried) >= 2
    assert [(p.quality, p.cost_usd_per_1k) for p in tried] == [
        (p.quality, p.cost_usd_per_1k) for p in choice.frontier if p.strategy != strategy.reference_model
    ]
    for one, other in pairwise(tried):
        assert one.cost_usd_per_1k < other.cost_usd_per_1k
        assert one.exchange > other.exchange
    nearest = min(tried, key=lambda point: abs(point.exchange - strategy.plan.exchange))  # type: ignore[union-attr] # it has one
    assert nearest.exchange == pytest.approx(strategy.plan.exchange)
    assert nearest.cost_usd_per_1k == pytest.approx(strategy.evidence.cost_usd_per_1k)


def test_a_cascade_saves_at_the_references_quality(table: ScoreTable) -> None:
    choice = choose(table, MATCH, scorer_version="sc_believes", kind="cascade_route")
    assert choice.strategy.kind == "cascade_route"
    assert choice.held_out is not None
    assert choice.held_out.saving > 0.3
    fresh = ScoreTable.build(fake_log(600, seed=1), FakeBeliever(), fake_prices())
    carried = carry_out(fresh, choice.strategy)
    base = fresh.cost_nanousd[:, fresh.reference()].sum()
    assert carried.cost_nanousd.sum() < 0.8 * base
    assert carried.quality.mean() > fresh.quality.mean(axis=0).max() - 0.05


@pytest.mark.parametrize("rule", [MATCH, MORE])
@pytest.mark.parametrize("kind", ["cascade_route", "route"])
def test_what_is_done_live_is_what_was_done_on_the_table(table: ScoreTable, rule: Rule, kind: Kind) -> None:
    strategy = choose(table, rule, scorer_version="sc_believes", kind=kind).strategy
    if strategy.plan is None:
        pytest.skip("a single model was chosen")
    queries, scorer = fake_log(150, seed=2), FakeBeliever()
    carried = carry_out(ScoreTable.build(queries, scorer, fake_prices()), strategy)
    for row, query in enumerate(queries):
        course = Course(plan=strategy.plan, query=query.query, believer=scorer, able=set(strategy.models))
        answers: list[Answer] = []
        while (chosen := course.decide(answers).chosen) is not None:
            answers.append(query.answers[chosen].answer)
        called = [strategy.models[place] for place in np.flatnonzero(carried.called[row])]
        assert sorted(called) == sorted(answer.model for answer in answers)
        assert course.best() == strategy.models[carried.returned[row]]


@pytest.mark.parametrize("goal", ["match-best", "max-quality-at-best-cost"])
@pytest.mark.parametrize(("n", "models"), [(1, MODELS), (2, MODELS), (7, ("large",)), (50, ("large",)), (50, MODELS)])
def test_small_logs_and_lone_models_get_some_strategy(goal: Goal, n: int, models: tuple[str, ...]) -> None:
    queries = [
        replace(query, answers={m: query.answers[m] for m in models}, labels={m: query.labels[m] for m in models})
        for query in fake_log(n)
    ]
    few = ScoreTable.build(queries, FakeBeliever(), fake_prices())
    assert set(choose(few, Rule(goal=goal), scorer_version="v").strategy.models) <= set(models)
    if n == 1:
        with pytest.raises(StrategyError, match="2 conversations or more"):
            choose(few, Rule(goal=goal), scorer_version="v", kind="cascade_route")


@pytest.mark.parametrize("quality", [0.0, 1.0])
def test_where_all_answers_are_alike_the_cheapest_model_is_the_choice(quality: float) -> None:
    queries = [
        replace(query, answers={m: replace(answer, quality=quality) for m, answer in query.answers.items()})
        for query in fake_log(50)
    ]
    alike = ScoreTable.build(queries, FakeBeliever(), fake_prices())
    assert choose(alike, MATCH, scorer_version="v").strategy.models == ("small",)


def test_a_higher_floor_asks_the_reference_at_least_as_often(table: ScoreTable) -> None:
    strategy = choose(table, MATCH, scorer_version="sc_believes", kind="cascade_route").strategy
    assert strategy.plan is not None
    place = strategy.models.index(strategy.plan.reference)
    asked = [
        carry_out(table, Strategy.planned(replace(strategy.plan, floor=floor), safe_model="large", scorer_version="v"))
        for floor in (0.0, 0.5, 0.8, 1.0)
    ]
    calls = [int(carried.called[:, place].sum()) for carried in asked]
    assert calls == sorted(calls)
