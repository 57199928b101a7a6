"""Windows: every moment lies in exactly one of each period, and they meet without a gap."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.budgets.windows import PERIODS, Period, window_of

moments = st.datetimes(datetime(2000, 1, 1), datetime(2200, 1, 1)).map(  # noqa: DTZ001 - it becomes aware
    lambda naive: int(naive.replace(tzinfo=UTC).timestamp() * 1_000_000)
)


@given(moments, st.sampled_from(PERIODS))
def test_a_window_holds_its_moment_and_the_next_begins_where_it_ends(at_us: int, period: Period) -> None:
    begin, end = window_of(period, at_us)
    assert begin <= at_us
    if end is None:
        assert period == "total"
        return
    assert at_us < end
    assert window_of(period, begin) == window_of(period, end - 1) == (begin, end)
    assert window_of(period, end)[0] == end


@pytest.mark.parametrize(
    ("period", "begin", "end"),
    [
        ("daily", "2028-02-29", "2028-03-01"),
        ("weekly", "2028-02-28", "2028-03-06"),  # a Monday
        ("monthly", "2028-02-01", "2028-03-01"),
    ],
)
def test_calendars_are_utc_s_and_weeks_begin_on_monday(period: Period, begin: str, end: str) -> None:
    def us(day: str) -> int:
        return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 1_000_000

    last = us("2028-03-01") - 1
    assert window_of(period, last) == (us(begin), us(end))
