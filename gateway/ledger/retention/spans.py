"""Months and moments as identifiers carry them, so that the rows of a time are found by their keys.

Knows how identifiers begin. Knows no table.
"""

from datetime import UTC, datetime

from gateway.ledger.partitions import months_from


def first_moment_us(month: int) -> int:
    """Of a month such as 202611, in microseconds since 1970.

    >>> first_moment_us(197002)
    2678400000000
    """
    return int(datetime(month // 100, month % 100, 1, tzinfo=UTC).timestamp()) * 1_000_000


def kept_since_us(month: int) -> int:
    """From when on everything can change and be read, where months before this one are gone.

    An hour after its beginning: a row is written after its identifier was made, which says in which month it lies.
    """
    return first_moment_us(month) + 3_600_000_000


def month_at(moment_us: int) -> int:
    """In which a moment lies.

    >>> month_at(2678400000000)
    197002
    """
    moment = datetime.fromtimestamp(moment_us // 1_000_000, UTC)
    return moment.year * 100 + moment.month


def next_month(month: int) -> int:
    """The one after.

    >>> next_month(202612)
    202701
    """
    return months_from(month, 2)[1]


def made_from(prefix: str, moment_us: int) -> str:
    """What identifiers begin with that were made from this moment on, or something that sorts before them."""
    return f"{prefix}_{moment_us // 1000:012x}"
