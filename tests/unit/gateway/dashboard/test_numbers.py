"""Numbers in words: nothing known is shown as unknown, nothing unknown as zero, nothing spent as nothing."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis.strategies import integers

from gateway.dashboard import numbers

AMOUNTS = integers(-(10**18), 10**18)


@pytest.mark.parametrize(
    ("nanousd", "words"),
    [
        (None, "unknown"),
        (0, "$0"),
        (1, "$0.00000000100"),
        (54_300, "$0.0000543"),
        (40_000_000, "$0.0400"),
        (999_999_999, "$1.000"),
        (1_470_000_000, "$1.47"),
        (1_234_567_890_000, "$1,234.57"),
        (-3_440_000_000, "−$3.44"),
    ],
)
def test_money_by_itself_shows_three_digits(nanousd: int | None, words: str) -> None:
    assert numbers.money(nanousd) == words


def test_money_in_a_column_keeps_the_columns_decimals() -> None:
    column = [12_346_000_000, 3_000_000, -20_000_000, 0]
    decimals = numbers.decimals_for(column)
    assert [numbers.money(amount, decimals) for amount in column] == ["$12.35", "<$0.01", "−$0.02", "$0"]
    assert numbers.money(-3_000_000, decimals) == "−<$0.01"


@given(AMOUNTS)
def test_money_never_hides_that_something_was_spent(nanousd: int) -> None:
    decimals = numbers.decimals_for([nanousd])
    for words in (numbers.money(nanousd), numbers.money(nanousd, decimals), numbers.money(nanousd, 2)):
        assert words.startswith("−") == (nanousd < 0)
        assert (words == "$0") == (nanousd == 0)


@pytest.mark.parametrize("digits", range(1, 18))
def test_a_columns_largest_amount_shows_at_least_three_digits_above_a_microdollar(digits: int) -> None:
    words = numbers.money(10**digits, numbers.decimals_for([10**digits]))
    shown = words.replace("$", "").replace(",", "").replace(".", "").lstrip("0")
    assert len(shown) >= 3 or digits < 6


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (None, "–"),
        (0.0, "0.0 %"),
        (0.0004, "<0.1 %"),
        (0.73141, "73.1 %"),
        (-0.04, "−4.0 %"),
        (12.5, "1250.0 %"),
    ],
)
def test_share(part: float | None, words: str) -> None:
    assert numbers.share(part).replace("\u202f", " ") == words


def test_ticks_are_shown_exactly_and_alike() -> None:
    assert numbers.exact_decimals([4_000_000, 2_000_000, 0]) == 3
    assert numbers.exact_decimals([400_000_000_000, 100_000_000_000, 0]) == 2


def test_tokens_seconds_probabilities_and_moments() -> None:
    assert [numbers.tokens(n) for n in (0, 940, 12_345, 7_654_321, 2 * 10**9)] == ["0", "940", "12.3k", "7.65M", "2B"]
    assert [numbers.seconds(s).replace("\u202f", " ") for s in (None, 0.0421, 3.14)] == ["–", "42 ms", "3.1 s"]
    assert [numbers.probability(p) for p in (None, 0.625)] == ["–", "0.62"]
    when = datetime(2026, 3, 1, 4, 5, 6, tzinfo=UTC)
    assert (numbers.moment(when), numbers.short_moment(when)) == ("2026-03-01 04:05:06", "01 Mar, 04:05:06")
