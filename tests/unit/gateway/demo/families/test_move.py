"""Values are written as people write them, and read back exactly."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.demo.families.move import decimal_places, written


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Fraction(12), "12"),
        (Fraction(-3), "-3"),
        (Fraction(15, 4), "3.75"),
        (Fraction(-1, 8), "-0.125"),
        (Fraction(1, 3), "1/3"),
        ("harbor", "harbor"),
        ((3, 1, -2), "[3, 1, -2]"),
        ((), "[]"),
    ],
)
def test_values_are_written_as_people_write_them(value: Fraction | str | tuple[int, ...], text: str) -> None:
    assert written(value) == text


@given(st.fractions())
def test_a_written_number_is_that_number(number: Fraction) -> None:
    assert Fraction(written(number)) == number


@given(st.integers(-(10**6), 10**6), st.integers(0, 6))
def test_a_decimal_has_no_more_places_than_it_needs(unscaled: int, places: int) -> None:
    number = Fraction(unscaled, 10**places)
    needed = decimal_places(number)
    assert needed is not None
    assert needed <= places
    assert number * 10**needed == int(number * 10**needed)
