"""A queue that can say when everything put into it before some moment has been dealt with.

Knows order and counts. Knows nothing of what it carries.
"""

from collections import deque
from collections.abc import Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class Lane(Generic[T]):
    """First in, first out. What was taken is either dealt with (``finish``) or comes back to the front (``give_back``).

    >>> lane = Lane[str]()
    >>> lane.put("a"); lane.put("b"); lane.take(1)
    ['a']
    """

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self.accepted = 0  # items ever put
        self.finished = 0  # items ever dealt with, in the order in which they were put

    def __len__(self) -> int:
        return len(self._items)

    @property
    def pending(self) -> int:
        """Items put and not yet dealt with, taken ones included."""
        return self.accepted - self.finished

    def put(self, item: T) -> None:
        """At the end."""
        self._items.append(item)
        self.accepted += 1

    def take(self, most: int) -> list[T]:
        """Up to so many items from the front."""
        return [self._items.popleft() for _ in range(min(most, len(self._items)))]

    def give_back(self, items: Iterable[T]) -> None:
        """To the front, in the same order, to be taken again."""
        self._items.extendleft(reversed(list(items)))

    def finish(self, count: int) -> None:
        """So many taken items are dealt with."""
        self.finished += count
