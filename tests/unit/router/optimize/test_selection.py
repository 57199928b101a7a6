"""The rules keep what they promise on the table, are cautious, and prefer a single model where nothing beats it."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from router.errors import StrategyError
from router.optimize.search import Candidates, SearchSpace
from router.optimize.selection import Rule, cross_validate, select
from router.optimize.table import ScoreTable
from tests.fakelog import random_table

SMALL = SearchSpace(depth=3, max_models=3, grid_sizes=(5, 4))
TABLES = st.builds(random_table, st.integers(3, 60), st.integers(2, 3), st.integers(0, 999))
CAUTION = st.sampled_from([0.0, 0.5, 1.0])


@given(TABLES, CAUTION, st.floats(0.1, 3), st.floats(0.1, 3))
def test_the_objective_never_falls_as_the_budget_grows(
    table: ScoreTable, caution: float, one: float, other: float
) -> None:
    estimates = Candidates.search(table, SMALL).estimates()
    objective = estimates.gain - caution * estimates.gain_se
    unit = estimates.reference_cost / 1e6

    def reached(budget: float) -> float:
        try:
            rule = Rule(goal="budget-usd-per-1k", amount=budget, caution=caution)
            return float(objective[select(rule, estimates)])
        except StrategyError:
            return -np.inf

    assert reached(max(one, other) * unit) >= reached(min(one, other) * unit)


@given(TABLES, CAUTION)
def test_matching_the_best_costs_no_more_than_the_best_and_is_as_good(table: ScoreTable, caution: float) -> None:
    estimates = Candidates.search(table, SMALL).estimates()
    chosen = select(Rule(goal="match-best", caution=caution), estimates)
    assert estimates.gain[chosen] >= -1e-9
    assert estimates.cost[chosen] <= estimates.reference_cost + 1e-6


@given(TABLES, CAUTION)
def test_the_most_quality_for_the_best_models_cost_keeps_both(table: ScoreTable, caution: float) -> None:
    estimates = Candidates.search(table, SMALL).estimates()
    chosen = select(Rule(goal="max-quality-at-best-cost", caution=caution), estimates)
    assert estimates.cost[chosen] <= estimates.reference_cost * (1 + 1e-6)
    assert estimates.gain[chosen] >= -1e-9


@given(TABLES, CAUTION, st.floats(0, 1))
def test_a_quality_target_is_kept_or_refused_with_what_could_be(
    table: ScoreTable, caution: float, wanted: float
) -> None:
    estimates = Candidates.search(table, SMALL).estimates()
    try:
        chosen = select(Rule(goal="min-quality", amount=wanted, caution=caution), estimates)
    except StrategyError as error:
        reachable = float(str(error).rpartition(" ")[2])
        assert reachable < wanted + 1e-4
    else:
        assert estimates.quality[chosen] >= wanted - 1e-6


@given(TABLES)
def test_more_caution_never_saves_more(table: ScoreTable) -> None:
    estimates = Candidates.search(table, SMALL).estimates()
    bold, careful = (select(Rule(goal="match-best", caution=c), estimates) for c in (0.0, 1.0))
    assert estimates.cost[bold] <= estimates.cost[careful]


def test_a_budget_below_every_model_is_refused_with_the_least_that_will_do() -> None:
    estimates = Candidates.search(random_table(50, 3, 0), SMALL).estimates()
    with pytest.raises(StrategyError, match="the least possible budget is") as caught:
        select(Rule(goal="budget-usd-per-1k", amount=1e-9), estimates)
    least = float(str(caught.value).rpartition(" ")[2])
    select(Rule(goal="budget-usd-per-1k", amount=least * 1.001), estimates)


def test_scores_that_tell_nothing_lead_to_the_best_model_alone() -> None:
    blind = random_table(400, 3, 3, informative=0)
    candidates = Candidates.search(blind, SMALL)
    chosen = select(Rule(goal="match-best", caution=1), candidates.estimates())
    assert candidates.stages(chosen)[0] == (candidates.reference,)


def test_scores_that_tell_everything_save_a_lot() -> None:
    table = random_table(400, 3, 4, informative=1)
    candidates = Candidates.search(table, SMALL, parts=np.arange(400) % 5)
    rule = Rule(goal="match-best")
    held_out = cross_validate(rule, candidates)
    assert held_out is not None
    assert held_out.saving > 0.5
    assert held_out.quality_delta >= 0


@given(TABLES)
def test_held_out_results_are_those_of_choosing_without_and_judging_on_each_part(table: ScoreTable) -> None:
    assume(table.n >= 6)
    parts = np.arange(table.n) % 2
    candidates, rule = Candidates.search(table, SMALL, parts=parts), Rule(goal="match-best")
    held_out = cross_validate(rule, candidates)
    assert held_out is not None
    gains = []
    for part in (0, 1):
        chosen = select(rule, candidates.estimates(without=part))
        gains.append(candidates.estimates(only=part).gain[chosen] * (parts == part).sum())
    assert held_out.quality_delta == pytest.approx(sum(gains) / table.n)


def test_where_a_fold_cannot_meet_the_rule_or_there_are_no_folds_nothing_is_claimed() -> None:
    candidates = Candidates.search(random_table(20, 2, 0), SMALL, parts=np.arange(20) % 2)
    assert cross_validate(Rule(goal="budget-usd-per-1k", amount=1e-9), candidates) is None
    assert cross_validate(Rule(goal="match-best"), Candidates.search(random_table(20, 2, 0), SMALL)) is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Rule(goal="min-quality"), "min-quality: needs amount"),
        (lambda: Rule(goal="match-best", amount=1), "match-best: takes no amount"),
        (lambda: Rule(goal="min-quality", amount=1.5), "min-quality: must be between 0 and 1, not 1.5"),
        (lambda: Rule(goal="budget-usd-per-1k", amount=0), "budget-usd-per-1k: must be above 0"),
        (lambda: Rule(goal="match-best", caution=-1), "caution: must be at least 0"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(make, message: str) -> None:  # type: ignore[no-untyped-def]  # a lambda
    with pytest.raises(StrategyError, match=message):
        make()
