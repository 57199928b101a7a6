"""Sums over some of a log's queries: exact, and put together in any order to the sums over all of them.

Knows whole numbers under names. Knows not what they count.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

Key = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Sums:
    """Several whole numbers under each key; a key that is not there stands for zeros.

    A commutative monoid: ``+`` is associative and commutative, and ``Sums()`` changes nothing. So shards may be done
    in any order, on any machine, and twice, as long as each is put in once.

    >>> Sums({("a",): (1, 2)}) + Sums({("a",): (10, 0), ("b",): (5,)})
    Sums(values={('a',): (11, 2), ('b',): (5,)})
    """

    values: Mapping[Key, tuple[int, ...]] = field(default_factory=dict)

    def __add__(self, other: "Sums") -> "Sums":
        total = dict(self.values)
        for key, more in other.values.items():
            had = total.get(key)
            total[key] = more if had is None else tuple(a + b for a, b in zip(had, more, strict=True))
        return Sums(total)

    def of(self, *key: str | int, size: int = 1) -> tuple[int, ...]:
        """What stands under a key; zeros where nothing does."""
        return self.values.get(key, (0,) * size)

    @classmethod
    def total(cls, parts: Iterable["Sums"]) -> Self:
        """Of all parts."""
        values: dict[Key, tuple[int, ...]] = {}
        for part in parts:
            for key, more in part.values.items():
                had = values.get(key)
                values[key] = more if had is None else tuple(a + b for a, b in zip(had, more, strict=True))
        return cls(values)
