"""Sums in a text are worked out again; what is no plain sum is left alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer.features.arithmetic import statements


@pytest.mark.parametrize(
    "text",
    [
        "so 3 + 4 = 7",
        "3 apples + 4 apples = 7 apples",
        "-5 + 3 = -2",
        "10/3 = 3.33",
        "20 x $0.25 per tire = $5.00",
        "(3+4)*2 = 14",
        "90% * 40 = 36",
        "<<50+10=60>>60",
        "12 \\times 4 = 48",
        "12 × 4 ÷ 2 = 24",
        "7*24*60=10,080 minutes",
        "Mia: 2 * (3 + 4) = 14 dollars",
    ],
)
def test_right_sums_hold_and_wrong_ones_do_not(text: str) -> None:
    (statement,) = statements(text)
    assert statement.holds
    head, _, tail = text.rpartition("=")
    digit = next(c for c in tail if c.isdigit() and c not in "0,")
    (wrong,) = statements(f"{head}={tail.replace(digit, str((int(digit) + 3) % 10 or 9), 1)}")
    assert not wrong.holds


def test_chains_are_checked_link_by_link() -> None:
    assert [statement.holds for statement in statements("2 + 2 = 4 = 3 + 1 = 5")] == [True, True, False]


@pytest.mark.parametrize(
    "text", ["", "5 = 5", "2x + 3 = 9", "a = b", "x = 3", "1/0 = 7", "(3 + = 4", "3 + 4", "2^3 = 8"]
)
def test_what_is_no_plain_sum_is_left_alone(text: str) -> None:
    assert statements(text) == []


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.sampled_from("+-*"))
def test_the_worked_out_value_is_the_value(one: int, two: int, operator: str) -> None:
    value = {"+": one + two, "-": one - two, "*": one * two}[operator]
    (statement,) = statements(f"We get {one} {operator} {two} = {value}")
    assert statement.holds
    assert statement.left == value


@given(st.text(alphabet="0123456789+-*/()= .x%$a,^\n", max_size=300))
def test_any_text_is_survived(text: str) -> None:
    assert len(statements(text)) <= 60
