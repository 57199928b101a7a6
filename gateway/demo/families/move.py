"""The steps of which working out a task consists, and who makes them.

Knows neither what the tasks are about nor how likely anybody is to slip.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from random import Random
from typing import Protocol

Value = Fraction | str | tuple[int, ...]
"""What a task is about at any moment: an exact number, a word or a list of integers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One step of the working.

    line : the step in words, with ``{}`` where its result is written.
    right : its result.
    weight : how hard it is; about 1 for adding two-digit numbers.
    misreadings : other steps that a careless reader makes instead, each with the result that follows from it.
    """

    line: str
    right: Value
    weight: float
    misreadings: tuple[tuple[str, Value], ...] = ()


Hand = Callable[[Move], Value]
"""Whoever works: is shown each move and says with which value to go on."""


class Problem(Protocol):
    """A task as read from its words."""

    def solve(self, hand: Hand) -> Value:
        """Show ``hand`` every move in turn, each one resting on what it made of those before, and return the last."""
        ...


class Family(Protocol):
    """A kind of task."""

    @property
    def name(self) -> str: ...

    def pose(self, rng: Random, level: int) -> str:
        """A question in words with about ``level`` steps."""
        ...

    def read(self, text: str) -> Problem | None:
        """The problem posed anywhere in ``text``; None if there is none of this kind."""
        ...


def honest(move: Move) -> Value:
    """The hand that never slips."""
    return move.right


def difficulty(problem: Problem) -> float:
    """Sum of the weights of the moves to the right answer."""
    weights: list[float] = []

    def weigh(move: Move) -> Value:
        weights.append(move.weight)
        return move.right

    problem.solve(weigh)
    return sum(weights)


def written(value: Value) -> str:
    """A value as people write it: ``12``, ``3.75``, ``1/3``, ``harbor``, ``[3, 1, 2]``."""
    if isinstance(value, str):
        return value
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    if value.denominator == 1:
        return str(value.numerator)
    places = decimal_places(value)
    if places is None:
        return f"{value.numerator}/{value.denominator}"
    return f"{'-' if value < 0 else ''}{_decimals(abs(value), places)}"


def decimal_places(value: Fraction) -> int | None:
    """How many decimal places write the value exactly; None if no number of them does."""
    rest, twos, fives = value.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    return max(twos, fives) if rest == 1 else None


def digits(value: Fraction) -> int:
    """How many digits a person handles when working with the value, leading and trailing zeros apart."""
    return max(1, len(written(abs(value)).replace(".", "").replace("/", "").strip("0")))


def _decimals(value: Fraction, places: int) -> str:
    scaled = str(int(value * 10**places)).rjust(places + 1, "0")
    return f"{scaled[:-places]}.{scaled[-places:]}"
