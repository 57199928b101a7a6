"""The demo's tasks: generated from a seed, told in words, each with an answer that a program can check.

Knows how tasks are posed, read back and checked. Knows nothing of the models that answer them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from random import Random

from gateway.demo.families.expressions import ExpressionFamily
from gateway.demo.families.lists import LIST
from gateway.demo.families.move import Family, Problem, Value, difficulty, honest, written
from gateway.demo.families.story import STORY
from gateway.demo.families.units import UNIT
from gateway.demo.families.words import WORD

FAMILIES: Sequence[Family] = (STORY, UNIT, LIST, WORD, ExpressionFamily())

_LEVELS = (1, 1, 2, 2, 3, 3, 4, 5, 6)
_MANNERS = (
    "{}",
    "{}",
    "{}",
    "{} Show your working.",
    "{} Please think step by step.",
    "Could you help me with this? {}",
    "A quick one: {}",
    "{}\n\nEnd with a line that reads `Answer: ...`.",
)
_LONGEST_QUESTION = 4000  # characters that are read; nobody poses longer ones
_ANSWER = re.compile(r"(?:answer|result)\s*(?:is|:|=)+\s*(.+)", re.IGNORECASE)
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:/\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A question with its answer.

    difficulty : sum over its steps, about 1 for adding two two-digit numbers.
    """

    id: str
    family: str
    question: str
    truth: str
    difficulty: float


def generate(seed: int, count: int) -> tuple[Task, ...]:
    """``count`` different tasks, the same for the same seed; the first m of n are the m of a smaller count."""
    rng = Random(f"tasks of seed {seed}")
    tasks: dict[str, Task] = {}
    while len(tasks) < count:
        family = rng.choice(FAMILIES)
        posed = family.pose(rng, rng.choice(_LEVELS))
        problem = family.read(posed)
        if problem is None:
            raise AssertionError(f"the family {family.name} cannot read its own question: {posed!r}")
        question = rng.choice(_MANNERS).format(posed)
        tasks[posed] = Task(
            id=f"{seed}-{len(tasks)}",
            family=family.name,
            question=question,
            truth=written(problem.solve(honest)),
            difficulty=difficulty(problem),
        )
    return tuple(tasks.values())


def read(text: str) -> Problem | None:
    """The problem that the text poses, if it is of a kind known here."""
    for family in FAMILIES:
        problem = family.read(text[:_LONGEST_QUESTION])
        if problem is not None:
            return problem
    return None


def check(truth: str, text: str) -> bool:
    """Whether the last answer that ``text`` states is ``truth``. A text that states none is wrong."""
    stated = _ANSWER.findall(text)
    return bool(stated) and _same(truth, stated[-1])


def _same(truth: str, stated: str) -> bool:
    stated = stated.strip().strip("`*\"'. ")
    if truth.startswith("["):
        inner = re.search(r"\[([^\]]*)\]", stated)
        return inner is not None and _integers(inner[1]) == _integers(truth.strip("[]"))
    if _NUMBER.fullmatch(truth):
        numbers = _NUMBER.findall(stated)
        return len(numbers) == 1 and _exact(numbers[0]) == Fraction(truth)
    return stated.lower() == truth.lower()


def _integers(text: str) -> Value | None:
    try:
        return tuple(int(item) for item in text.split(","))
    except ValueError:
        return None


def _exact(number: str) -> Fraction | None:
    try:
        return Fraction(number.replace(",", ""))
    except (ValueError, ZeroDivisionError):
        return None
