"""Small tasks with one right answer each, some easy and some hard, for a model that is tiny but real.

Knows how they are made, and which answer is right. Knows no model.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

LETTERS = "abcdefgh"
ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789 :?+.,"


@dataclass(frozen=True, slots=True)
class Task:
    """question : what is asked.   answer : the right one."""

    kind: str
    question: str
    answer: str

    def is_right(self, said: str) -> bool:
        """Whether what was said is the right answer."""
        return said.strip() == self.answer


def tasks(seed: int) -> Iterator[Task]:
    """Ever more of them, the same for the same seed."""
    chance = Random(seed)
    kinds = list(_KINDS.items())
    while True:
        kind, make = chance.choice(kinds)
        yield Task(kind, *make(chance))


def different(seed: int, n: int, without: frozenset[str] = frozenset()) -> list[Task]:
    """So many tasks with different questions, none of those in ``without``."""
    found: dict[str, Task] = {}
    for task in tasks(seed):
        if task.question not in without:
            found.setdefault(task.question, task)
        if len(found) == n:
            break
    return list(found.values())


def solved(question: str) -> str:
    """The right answer to a question of these."""
    asked, _, given = question.partition(": ")
    kind, _, letter = asked.partition(" ")
    if kind == "add":
        return str(sum(map(int, given.split("+"))))
    if kind == "largest":
        return str(max(map(int, given.split())))
    return {
        "reverse": given[::-1],
        "sort": "".join(sorted(given)),
        "count": str(given.count(letter or " ")),
        "last": given[-1],
    }[kind]


def _word(chance: Random, least: int, most: int) -> str:
    return "".join(chance.choice(LETTERS) for _ in range(chance.randint(least, most)))


def _sum(chance: Random) -> tuple[str, str]:
    first, second = (chance.randrange(10 ** chance.randint(1, 3)) for _ in range(2))
    return f"add: {first}+{second}", str(first + second)


def _reversed(chance: Random) -> tuple[str, str]:
    word = _word(chance, 2, 9)
    return f"reverse: {word}", word[::-1]


def _sorted(chance: Random) -> tuple[str, str]:
    word = _word(chance, 2, 9)
    return f"sort: {word}", "".join(sorted(word))


def _largest(chance: Random) -> tuple[str, str]:
    numbers = [chance.randrange(100) for _ in range(chance.randint(2, 6))]
    return f"largest: {' '.join(map(str, numbers))}", str(max(numbers))


def _counted(chance: Random) -> tuple[str, str]:
    word, letter = _word(chance, 3, 10), chance.choice(LETTERS[:3])
    return f"count {letter}: {word}", str(word.count(letter))


def _last(chance: Random) -> tuple[str, str]:
    word = _word(chance, 2, 9)
    return f"last: {word}", word[-1]


_KINDS: dict[str, Callable[[Random], tuple[str, str]]] = {
    "sum": _sum,
    "reversed": _reversed,
    "sorted": _sorted,
    "largest": _largest,
    "counted": _counted,
    "last": _last,
}
