"""The spans of time that a budget counts in. All in UTC; a week begins on Monday.

Knows calendars. Knows no money.
"""

from datetime import UTC, datetime, timedelta
from typing import Literal

Period = Literal["daily", "weekly", "monthly", "total"]
PERIODS: tuple[Period, ...] = ("daily", "weekly", "monthly", "total")

Window = tuple[int, int | None]
"""Half open, in microseconds since 1970: begin, and end (None: it never ends)."""


def window_of(period: Period, at_us: int) -> Window:
    """The window that a moment falls in.

    >>> window_of("total", 5)
    (0, None)
    """
    if period == "total":
        return 0, None
    at = datetime.fromtimestamp(at_us // 1_000_000, UTC)
    day = at.replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "daily":
        begin, end = day, day + timedelta(days=1)
    elif period == "weekly":
        begin = day - timedelta(days=day.weekday())
        end = begin + timedelta(days=7)
    else:
        begin = day.replace(day=1)
        end = (begin + timedelta(days=32)).replace(day=1)
    return _us(begin), _us(end)


def _us(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000
