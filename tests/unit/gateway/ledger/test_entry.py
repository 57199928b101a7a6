"""Amounts as people read them."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger.entry import Spent, usd


@given(st.integers(-(2**63), 2**63 - 1))
def test_an_amount_is_shown_exactly(nanousd: int) -> None:
    assert Decimal(usd(nanousd)) == Decimal(nanousd).scaleb(-9)
    assert "E" not in usd(nanousd)


@pytest.mark.parametrize(("nanousd", "shown"), [(0, "0"), (1, "0.000000001"), (10**9, "1"), (-1_500_000_000, "-1.5")])
def test_without_needless_zeros(nanousd: int, shown: str) -> None:
    assert usd(nanousd) == shown


def test_what_is_unknown_is_not_shown_as_an_amount() -> None:
    assert Spent(nanousd=None).usd is None
    assert Spent(nanousd=0).usd == "0"
