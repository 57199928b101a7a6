"""Final answers that say the same have the same canonical form, and others do not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer.features.canonical import canonical, number_key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("59", "59 minutes"),
        ("$1,234.50", "1234.5"),
        ("1 inch", "1"),
        ("0.50", ".5"),
        ("\\frac{1}{2}", "1/2"),
        ("\\frac{1}{2}", "0.5"),
        ("\\dfrac{3}{4}", "\\frac34 ".replace("34", "{3}{4}")),
        ("-007", "-7"),
        ("−7", "-7"),
        ("-0", "0"),
        ("Yes.", "yes"),
        ("**True**", "true"),
        ("$42$", "\\boxed{42}"),
        ("[1, 2,  3]", "[1,2,3]"),
        ('{"a": 1}', "{'a':1}"),
        ("\\(2\\sqrt{3}\\)", "2 \\sqrt3"),
        ("x = 5", "5"),
        ("Paris.", "paris"),
        ("''", '""'),
        ("50%", "50"),
    ],
)
def test_what_says_the_same_is_the_same(one: str, other: str) -> None:
    left, right = canonical(one), canonical(other)
    assert left is not None
    assert left == right


@pytest.mark.parametrize(
    ("one", "other"),
    [("59", "60"), ("1234567", "1234568"), ("3x + 1", "3x + 2"), ("[1, 2]", "[2, 1]"), ("yes", "no"), ("2^3", "2^4")],
)
def test_what_says_something_else_differs(one: str, other: str) -> None:
    assert canonical(one) != canonical(other)


def test_within_values_of_a_program_case_and_spaces_count() -> None:
    assert canonical("'a B'", exact=True) != canonical("'a b'", exact=True)
    assert canonical("' a'", exact=True) != canonical("'a'", exact=True)
    assert canonical("'a b'", exact=True) == canonical('"a b"', exact=True) == canonical("a b", exact=True)
    assert canonical("", exact=True) == canonical("''", exact=True)


def test_nothing_has_no_form() -> None:
    assert canonical("") is None
    assert canonical(" \n") is None


@given(st.integers(min_value=-(10**15), max_value=10**15))
def test_an_integer_keeps_every_digit(number: int) -> None:
    assert number_key(str(number)) == str(number)
    assert number_key(f"{number:,}") == str(number)


@given(st.text(max_size=60))
def test_any_text_has_one_form_or_none(text: str) -> None:
    assert canonical(text) == canonical(text)
    form = canonical(text)
    assert form is None or form.key
