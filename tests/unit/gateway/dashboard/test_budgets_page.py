"""The forecast goes on at the pace so far, within a band that holds what it says, and never below what is spent."""

from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import given
from hypothesis.strategies import integers, lists

from gateway.budgets.budget import Budget, Standing
from gateway.dashboard.budgets_page import Burn, budgets, forecast
from gateway.tenancy.scope import Scope

OCTOBER = datetime(2026, 10, 1, tzinfo=UTC)
NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)
SCOPE = Scope(level="team", id="t")


def standing(settled: int, amount: int = 1000, *, endless: bool = False) -> Standing:
    budget = Budget(budget_id="b", scope=SCOPE, period="monthly", amount_nanousd=amount, hard=True)
    ends = None if endless else int(NOVEMBER.timestamp()) * 1_000_000
    return Standing(
        budget=budget, starts_us=int(OCTOBER.timestamp()) * 1_000_000, ends_us=ends, settled_nanousd=settled
    )


def burn(spent: list[int]) -> Burn:
    return Burn(starts=tuple(OCTOBER + timedelta(days=n) for n in range(len(spent))), spent_nanousd=tuple(spent))


def test_half_a_month_is_half_of_it() -> None:
    told = forecast(standing(500), burn([32] * 16), OCTOBER + timedelta(days=15.5))
    assert told == (1000, 1000, 1000)  # every day was the same


@given(lists(integers(0, 10**9), min_size=1, max_size=31))
def test_the_band_holds_the_forecast_and_nothing_below_what_is_spent(spent: list[int]) -> None:
    now = OCTOBER + timedelta(days=len(spent) - 1, hours=12)
    told = forecast(standing(sum(spent)), burn(spent), now)
    assert told is not None
    assert told[0] >= sum(spent)
    assert told[1] >= sum(spent)
    assert told[1] <= told[0] <= told[2] or not told[2]


def test_the_band_holds_what_came_in_nineteen_of_twenty_months() -> None:
    random, inside = np.random.default_rng(3), 0
    for _ in range(400):
        month = random.gamma(4, 25, size=31)
        told = forecast(
            standing(round(month[:15].sum())), burn([round(x) for x in month[:16]]), OCTOBER + timedelta(days=15)
        )
        assert told is not None
        inside += told[1] <= month.sum() <= told[2]
    assert 0.88 < inside / 400 <= 1


def test_where_nothing_can_be_told_nothing_is() -> None:
    assert forecast(standing(5, endless=True), burn([5]), OCTOBER + timedelta(days=2)) is None
    assert forecast(standing(5), burn([5]), OCTOBER) is None
    assert forecast(standing(5), burn([5]), NOVEMBER) is None


def test_a_budget_that_is_spent_is_a_thing_to_do_and_no_budget_is_said_to_be_none() -> None:
    page = budgets([standing(1001)], standing(1001), burn([1001]), {"t": "search"}, OCTOBER + timedelta(hours=12))
    assert [(todo.subject, todo.words) for todo in page.todos] == [("search (team)", "its monthly budget is spent")]
    assert {card.label: card.tone for card in page.cards}["Left"] == "worse"
    nothing = budgets([], None, None, {}, OCTOBER)
    assert (nothing.cards, nothing.todos) == ((), ())
    assert "There are no budgets yet" in nothing.panels[0].empty
