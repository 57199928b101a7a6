"""Amounts, shares and times as a person reads them. Exact figures stay in the ledger and in tooltips.

Knows rounding and signs. A number that is not known is said to be unknown, never shown as zero.
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal

UNKNOWN = "unknown"
MINUS = "−"
_NANO = Decimal(10) ** 9


def decimals_for(amounts: Iterable[int | None]) -> int:
    """How many decimals a column of nano-USD needs so that its largest amount shows at least three digits."""
    largest = max((abs(amount) for amount in amounts if amount is not None), default=0)
    for decimals, least in ((2, 10), (3, 1), (4, Decimal("0.1")), (5, Decimal("0.01"))):
        if largest >= least * _NANO:
            return decimals
    return 6 if largest else 2


def exact_decimals(amounts: Iterable[int]) -> int:
    """How many decimals show every one of some round amounts exactly; at least two."""
    exponents = [(amount / _NANO).normalize().as_tuple().exponent for amount in amounts]
    return max([2, *(-exponent for exponent in exponents if isinstance(exponent, int))])


def money(nanousd: int | None, decimals: int | None = None) -> str:
    """Nano-USD as dollars, by itself to three digits; too small for given decimals it is ``<$0.01``, not nothing.

    >>> money(1_234_567_890_000), money(-80_000_000), money(4, 2), money(0), money(None)
    ('$1,234.57', '−$0.0800', '<$0.01', '$0', 'unknown')
    """
    if nanousd is None:
        return UNKNOWN
    if nanousd == 0:
        return "$0"
    places = max(2, 2 - (nanousd / _NANO).adjusted()) if decimals is None else decimals
    least = Decimal(1).scaleb(-places)
    amount = (abs(nanousd) / _NANO).quantize(least, rounding=ROUND_HALF_EVEN)
    sign = MINUS if nanousd < 0 else ""
    return f"{sign}${amount:,f}" if amount else f"{sign}<${least:f}"


def share(part: float | None) -> str:
    """A ratio as a percentage.

    >>> share(0.7314), share(-0.5), share(0.0004), share(None)
    ('73.1 %', '−50.0 %', '<0.1 %', '–')
    """
    if part is None:
        return "–"
    percent = f"{abs(part):.1%}".replace("%", "\u202f%")
    if part and percent.startswith("0.0"):
        percent = "<0.1\u202f%"
    return f"{MINUS}{percent}" if part < 0 else percent


def count(number: int) -> str:
    """A whole number with thousands separated."""
    return f"{number:,}"


def tokens(number: int) -> str:
    """A token count, short.

    >>> tokens(940), tokens(12_345), tokens(7_654_321)
    ('940', '12.3k', '7.65M')
    """
    for unit, size in (("B", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return str(number)


def seconds(duration: float | None) -> str:
    """A latency.

    >>> seconds(0.0421), seconds(3.14159), seconds(None)
    ('42 ms', '3.1 s', '–')
    """
    if duration is None:
        return "–"
    return f"{duration * 1000:.0f}\u202fms" if duration < 1 else f"{duration:.1f}\u202fs"


def probability(value: float | None) -> str:
    """A score or a threshold."""
    return "–" if value is None else f"{value:.2f}"


def moment(when: datetime) -> str:
    """A time of UTC, to the second."""
    return f"{when:%Y-%m-%d %H:%M:%S}"


def short_moment(when: datetime) -> str:
    """A time of UTC without its year."""
    return f"{when:%d %b, %H:%M:%S}"
