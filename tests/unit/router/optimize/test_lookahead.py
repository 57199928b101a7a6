"""What further models are worth: the fit finds what sets brought, and looking ahead is what it is called."""

import numpy as np
import pytest

from router.optimize.lookahead import at_exchange, plan_on
from router.optimize.search import models_worth_trying
from router.optimize.table import ScoreTable
from router.plan import Plan, further, lookahead
from tests.fakelog import FakeBeliever, fake_log, fake_prices


@pytest.fixture(scope="module")
def table() -> ScoreTable:
    return ScoreTable.build(fake_log(600), FakeBeliever(), fake_prices())


@pytest.fixture(scope="module")
def plan(table: ScoreTable) -> Plan:
    return plan_on(table, models_worth_trying(table, 3))


def test_every_state_weighs_every_set_of_further_models(plan: Plan) -> None:
    assert list(plan.values[()]) == further((), 3, 3)
    assert list(plan.values[(1,)]) == [(0,), (2,), (0, 2)]
    assert (0, 1, 2) not in plan.values


def test_what_a_set_is_worth_is_what_it_brings_on_average(table: ScoreTable, plan: Plan) -> None:
    at = [table.models.index(model) for model in plan.models]
    before, after = (table.beliefs(tuple(at[m] for m in asked))[:, at] for asked in ((0,), (0, 2)))
    rows = np.arange(table.n)
    returned = np.array([0, 2])[after[:, [0, 2]].argmax(axis=1)]
    by_label = (table.quality[:, at][rows, returned] - table.quality[:, at[0]]).mean()
    by_belief = (after[rows, returned] - before[:, 0]).mean()
    worth = plan.worth((0,), before)[:, list(plan.values[(0,)]).index((2,))]
    assert worth.mean() == pytest.approx((by_label + by_belief) / 2, abs=0.02)
    sure, unsure = before[:, 0] > 0.8, before[:, 0] < 0.5
    assert worth[sure].mean() < worth[unsure].mean() - 0.2


def test_a_sure_answer_ends_it_and_a_poor_one_goes_on(table: ScoreTable, plan: Plan) -> None:
    priced = at_exchange(plan, table, 0.3)
    costs = priced.costs(np.array([100.0, 100.0]), np.full((2, 3), 100.0))
    chosen = priced.choose((0,), np.array([[0.99, 0.75, 0.9], [0.05, 0.75, 0.9]]), costs)
    assert chosen[0] == -1
    assert chosen[1] > 0


def test_one_query_and_many_are_worth_the_same_to_the_bit(table: ScoreTable, plan: Plan) -> None:
    beliefs = table.beliefs((0,))
    many = plan.worth((0,), beliefs)
    assert all((plan.worth((0,), beliefs[[row]]) == many[row]).all() for row in range(40))


def test_without_spread_looking_ahead_sees_the_larger_belief() -> None:
    beliefs = np.array([[0.6, 0.5, 0.9], [0.6, 0.5, 0.3]])
    low, high, both = lookahead((0,), [(1,), (2,), (1, 2)], beliefs, (0.0, 0.0, 0.0))
    assert low == pytest.approx([0, 0])
    assert high == pytest.approx([0.3, 0])
    assert both == pytest.approx([0.3, 0])


def test_more_spread_and_more_models_promise_more() -> None:
    beliefs = np.array([[0.6, 0.5, 0.5]])
    (narrow,), (wide,) = (lookahead((0,), [(1,)], beliefs, (0.1, spread, 0.1)) for spread in (0.1, 0.3))
    (both,) = lookahead((0,), [(1, 2)], beliefs, (0.1, 0.1, 0.1))
    assert 0 < narrow < both
    assert narrow < wide


def test_untrusted_weights_are_the_expected_largest_belief(table: ScoreTable) -> None:
    plan = plan_on(table, models_worth_trying(table, 3), trust=0.0)
    beliefs = table.beliefs((0,))
    expected = lookahead((0,), list(plan.values[(0,)]), beliefs, plan.spread)
    assert plan.worth((0,), beliefs) == pytest.approx(np.stack(expected, axis=1))


def test_what_cannot_be_asked_is_in_no_set(table: ScoreTable, plan: Plan) -> None:
    beliefs, costs = np.array([[0.05, 0.75, 0.9]]), np.zeros((1, 3))
    assert np.isfinite(plan.gains((0,), beliefs, costs)[0, 1:]).all()
    without = plan.gains((0,), beliefs, costs, [True, True, False])
    assert without[0, 2] == -np.inf
    assert without[0, 1] == plan.worth((0,), beliefs)[0, 0]
