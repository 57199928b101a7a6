"""Amounts of US dollars go to nano-USD and back without a change, or are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.amounts import nanousd_of
from gateway.ledger.entry import usd


@given(st.integers(0, 10**18))
def test_what_is_shown_can_be_read_back(nanousd: int) -> None:
    assert nanousd_of(usd(nanousd)) == nanousd


@pytest.mark.parametrize(
    "written", ["", "-1", "1e3", "0.0000000001", "1,000", "NaN", "٣", "1.", ".5", "12345678901", True, "1 2"]
)
def test_what_is_no_amount_is_refused_by_name(written: str | bool) -> None:
    with pytest.raises(ValueError, match="no amount"):
        nanousd_of(written)
