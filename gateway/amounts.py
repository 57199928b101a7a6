"""Amounts of US dollars as people write them, to whole nano-USD and back. Exact in both directions, or refused.

Knows decimals. Knows no price and no budget.
"""

import re
from decimal import Decimal

_PLAIN = re.compile(r"[0-9]{1,10}(\.[0-9]{1,9})?")


def nanousd_of(written: str | int | Decimal) -> int:
    """Raises ValueError for anything but a plain amount with at most nine decimals.

    >>> nanousd_of("12.5"), nanousd_of(3)
    (12500000000, 3000000000)
    """
    text = str(written).strip().lstrip("$")
    if isinstance(written, bool) or not _PLAIN.fullmatch(text):
        raise ValueError(f"{written!r} is no amount of US dollars; 100 or 0.25 would be right (at most nine decimals)")
    whole, _, fraction = text.partition(".")
    return int(whole) * 1_000_000_000 + int(fraction.ljust(9, "0"))
