"""What a column of an export holds, whatever the file's format. Knows kinds of values; knows no table and no format."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

Kind = Literal["text", "whole", "usd", "exact", "decimal", "moment", "second", "truth", "number"]
"""usd : a Decimal with nine decimals.   exact, decimal : a Decimal with up to EXACT_DECIMALS; a decimal is told with a
fraction even where it is whole.   moment, second : microseconds since 1970, UTC; of a second, whole ones."""

USD_DECIMALS = 9
EXACT_DECIMALS = 18

Record = tuple[Any, ...]
Pages = AsyncIterator[Sequence[Record]]
"""Some records at a time, so that none but the few under way are in memory."""


@dataclass(frozen=True, slots=True)
class Column:
    """One of a file's."""

    name: str
    kind: Kind


def columns(**kinds: Kind) -> tuple[Column, ...]:
    """In this order.

    >>> columns(model="text", calls="whole")
    (Column(name='model', kind='text'), Column(name='calls', kind='whole'))
    """
    return tuple(Column(name, kind) for name, kind in kinds.items())


def usd_of(nanousd: int | None) -> Decimal | None:
    """Exact.

    >>> usd_of(1_500_000)
    Decimal('0.001500000')
    """
    return None if nanousd is None else Decimal(nanousd).scaleb(-USD_DECIMALS)
