"""A budget by itself: when it refuses, with which words, and how it presses."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.budgets.budget import Budget, BudgetNeedsBound, Standing
from gateway.tenancy.scope import Scope

DAY_US = 86_400_000_000


def standing(
    reserved: int = 0, settled: int = 0, *, hard: bool = True, ends: bool = True, amount: int = 100
) -> Standing:
    budget = Budget(
        budget_id="b", scope=Scope(level="team", id="t"), period="daily", amount_nanousd=100, hard=hard, paced=True
    )
    now_us = int(time.time()) * 1_000_000
    span = (now_us, now_us + DAY_US) if ends else (0, None)
    return Standing(
        budget=budget, starts_us=span[0], ends_us=span[1], reserved_nanousd=reserved, settled_nanousd=settled
    )


@given(st.integers(0, 150), st.integers(0, 150), st.integers(0, 150))
def test_what_fits_passes_and_what_does_not_is_refused(reserved: int, settled: int, asked: int) -> None:
    fits = asked == 0 or reserved + settled + asked <= 100
    assert (standing(reserved, settled).why_not(asked, priced=True) is None) == fits
    assert standing(reserved, settled, hard=False).why_not(asked, priced=True) is None


def test_a_refusal_says_when_it_ends() -> None:
    spent = standing(0, 100).why_not(1, priced=True)
    assert spent is not None
    assert "begins anew at" in str(spent)
    assert 86_000 < int(spent.headers["retry-after"]) <= 86_400
    assert spent.headers["x-should-retry"] == "false"
    for_ever = standing(0, 100, ends=False).why_not(1, priced=True)
    assert for_ever is not None
    assert for_ever.headers == {"x-should-retry": "false"}
    under_way = standing(100, 0).why_not(1, priced=True)  # somebody else's call will leave some of it
    assert under_way is not None
    assert under_way.headers == {"retry-after": "1"}


@pytest.mark.parametrize(("priced", "param"), [(True, "max_tokens"), (False, "model")])
def test_what_nothing_bounds_is_refused_by_name(priced: bool, param: str) -> None:
    refused = standing().why_not(None, priced=priced)
    assert isinstance(refused, BudgetNeedsBound)
    assert refused.param == param


@given(st.integers(0, 120), st.integers(0, 120), st.floats(0, 1), st.floats(0, 1))
def test_pressure_rises_with_use_and_falls_with_time(one: int, other: int, early: float, late: float) -> None:
    less, more = sorted((one, other))
    early, late = sorted((early, late))
    begun = standing().starts_us

    def at(used: int, passed: float) -> float:
        found = standing(0, used)
        found.starts_us, found.ends_us = begun, begun + DAY_US
        return found.pressure(begun + int(DAY_US * passed))

    assert 0 <= at(less, early) <= at(more, early) <= 1
    assert at(more, late) <= at(more, early)
    assert at(50, 0) == 0
    assert at(100, late) == pytest.approx(1)


def test_a_budget_that_is_not_paced_presses_on_nobody() -> None:
    budget = Budget(budget_id="b", scope=Scope(level="org", id="o"), period="total", amount_nanousd=1, hard=True)
    assert Standing(budget=budget, starts_us=0, ends_us=None, settled_nanousd=1).pressure(5) == 0
