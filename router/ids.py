"""Identifiers that sort by time: a UUID version 7 behind a prefix that says what it names.

Knows only how to make them and how to read their time back.
"""

import functools
import os
import time
import uuid
from datetime import UTC, datetime, timedelta


def new_id(prefix: str) -> str:
    """A fresh identifier such as ``dec_0193…``: 48 bits of Unix milliseconds, then 74 random bits (RFC 9562)."""
    milliseconds = time.time_ns() // 1_000_000
    value = milliseconds << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) & ~(0b11 << 62) | 0x7 << 76 | 0b10 << 62
    return f"{prefix}_{uuid.UUID(int=value).hex}"


def created_at(identifier: str) -> datetime:
    """The moment at which ``new_id`` made the identifier. Raises ValueError if it is none of its."""
    value = uuid.UUID(hex=identifier.rpartition("_")[2])
    if value.version != 7:
        raise ValueError(f"{identifier!r} carries no time")
    return datetime.fromtimestamp((value.int >> 80) / 1000, tz=UTC)


def month_of(identifier: str) -> int:
    """The month (UTC) that an identifier carries, such as 202611; 0 where it carries none.

    >>> month_of("att_019ab3f2c4007000800000000000000a"), month_of("att_1")
    (202511, 0)
    """
    digits = identifier.rpartition("_")[2][:12]
    try:
        days = int(digits, 16) // 86_400_000 if len(digits) == 12 else 0
    except ValueError:
        return 0
    return _month_of_day(days) if _FIRST_DAY <= days < _LAST_DAY else 0


_FIRST_DAY, _LAST_DAY = 10_957, 84_006  # of 2000 and of 2200


@functools.lru_cache(maxsize=4096)
def _month_of_day(days: int) -> int:
    day = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=days)
    return day.year * 100 + day.month
