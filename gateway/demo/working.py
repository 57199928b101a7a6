"""How a fallible worker works out a task: step by step, in writing, with slips of the kinds that people know.

Knows how slips look and how much of them shows. Knows neither tokens nor HTTP, nor what a task is about.

What gives a wrong answer away, and never for sure: a slip in calculating leaves a line that does not add up, a misread
step leaves lines that do; doubt is felt more often, but not only, where something went wrong; hard tasks go wrong more.
Nor is agreement proof: some steps are traps, in which different workers misread the same thing in the same way.
"""

import math
from dataclasses import dataclass, field
from fractions import Fraction
from random import Random
from typing import TypeVar

from gateway.demo.families.move import Move, Problem, Value, honest, written
from gateway.demo.tokens import Saying

T = TypeVar("T")

_FELT = 0.25  # how much doubt a slip adds to the doubt that a step's difficulty brings
_MISREADING = 0.35  # share of the slips that come from misreading a step rather than from getting it wrong
_TRAPS, _TRAP_RISK = 0.05, 8.0  # share of the steps that are traps, and how much likelier they go wrong
_STEEPNESS = 1.7  # twice as hard a step goes wrong more than three times as often


@dataclass(frozen=True, slots=True, kw_only=True)
class Skill:
    """How well somebody works.

    slips : expected number of slips in a step of weight 1 on an average task.
    terse : share of the tasks answered without written working, at twice the risk.
    rambles : share of the tasks talked about at length, without coming to an answer, where the risk is full.
    candour : how much more often a worker who went wrong sounds unsure.
    """

    slips: float
    terse: float
    rambles: float
    candour: float


@dataclass(slots=True)
class Worker:
    """One worker on one task: ``hand`` makes the moves and writes them down.

    trouble : multiplies the risk of every move.   traps : drawn from alike by all who work on the same task.
    """

    skill: Skill
    rng: Random
    trouble: float
    traps: Random
    lines: list[list[Saying]] = field(default_factory=list)
    surviving: float = 1.0  # probability that all went well so far, as the difficulty has it

    def hand(self, move: Move) -> Value:
        expected = self.skill.slips * self.trouble * move.weight**_STEEPNESS
        trap, lure = self.traps.random() < _TRAPS, self.traps.random()
        risk = 1 - math.exp(-expected * (_TRAP_RISK if trap else 1))
        self.surviving *= math.exp(-expected)  # nobody knows a trap for one
        line, value, slipped = move.line, move.right, self.rng.random() < risk
        if slipped and move.misreadings and (trap or self.rng.random() < _MISREADING):
            line, value = move.misreadings[int((lure if trap else self.rng.random()) * len(move.misreadings))]
        elif slipped:
            value = near(move.right, self.rng)
        felt = min(1.0, max(0.0, self.rng.gauss(0.5 * -math.expm1(-expected) + (_FELT if slipped else 0.0), 0.2)))
        before, _, after = line.partition("{}")
        self.lines.append([Saying(before, felt / 5), Saying(written(value), felt), Saying(after)])
        return value


def work_out(problem: Problem, skill: Skill, trouble: float, rng: Random, traps: Random) -> tuple[list[Saying], bool]:
    """What the worker says, and whether it came to an end with it. For ``trouble`` and ``traps`` see Worker."""
    terse = rng.random() < skill.terse
    worker = Worker(skill, rng, trouble * 2 if terse else trouble, traps)
    result = problem.solve(worker.hand)
    risk, wrong = 1 - worker.surviving, result != problem.solve(honest)
    written_down = [] if terse else _layout(worker.lines, rng)
    if rng.random() < skill.rambles * risk:
        return [*written_down, *_ramble(worker.lines, rng)], False
    felt = min(1.0, max(0.0, rng.gauss(0.4 * risk + (0.2 if wrong else 0.0), 0.2)))
    hedge = _hedge(rng, 0.03 + 0.2 * risk + (skill.candour if wrong else 0.0))
    end = "Answer: " if rng.random() < 0.85 else "The answer is: "
    return [*written_down, Saying(hedge, felt), Saying(end), Saying(written(result), felt)], True


def near(right: Value, rng: Random) -> Value:
    """A value like those that come out when somebody gets a step slightly wrong; never ``right`` itself."""
    if right in ("", ()):  # what is nothing is nearly something
        return "a" if right == "" else (1,)
    while True:
        if isinstance(right, Fraction):
            wrong: Value = _near_number(right, rng)
        elif isinstance(right, str):
            wrong = "".join(_disordered(tuple(right), rng))
        else:
            wrong = _near_list(right, rng)
        if wrong != right:
            return wrong


def _near_number(right: Fraction, rng: Random) -> Fraction:
    text = written(right)
    last_place = Fraction(1, 10 ** len(text.partition(".")[2]))
    offsets = [last_place, 2 * last_place, 10 * last_place]
    if abs(right) > 100 * last_place:
        offsets.append(100 * last_place)
    if text.isdigit() and rng.random() < 0.25:
        return Fraction("".join(_swapped(tuple(text), rng)))
    return right + rng.choice(offsets) * rng.choice((-1, 1))


def _near_list(right: tuple[int, ...], rng: Random) -> tuple[int, ...]:
    if rng.random() < 0.5:
        at = rng.randrange(len(right))
        return (*right[:at], right[at] + rng.choice((-2, -1, 1, 10)), *right[at + 1 :])
    return tuple(_disordered(right, rng))


def _disordered(items: tuple[T, ...], rng: Random) -> tuple[T, ...]:
    at = rng.randrange(len(items))
    change = rng.random()
    if change < 0.5:
        return _swapped(items, rng)
    return (*items[:at], *items[at + 1 :]) if change < 0.8 and len(items) > 1 else (*items[: at + 1], *items[at:])


def _swapped(items: tuple[T, ...], rng: Random) -> tuple[T, ...]:
    if len(items) < 2:
        return (*items, *items)
    at = rng.randrange(len(items) - 1)
    return (*items[:at], items[at + 1], items[at], *items[at + 2 :])


def _layout(lines: list[list[Saying]], rng: Random) -> list[Saying]:
    opening = rng.choice(("", "", "Let us go step by step.\n", "Working:\n", "Okay, one thing after the other.\n"))
    numbered = rng.random() < 0.4
    said = [Saying(opening)]
    for number, line in enumerate(lines, start=1):
        said += [Saying(f"{number}. " if numbered else ""), *line, Saying("\n")]
    return said


def _ramble(lines: list[list[Saying]], rng: Random) -> list[Saying]:
    said: list[Saying] = []
    for _ in range(rng.randint(3, 6)):
        phrase = rng.choice(("Wait, let me look at this again. ", "Hmm, once more from the start. ", "No, again: "))
        said += [Saying(phrase, 0.3), *rng.choice(lines), Saying("\n")]
    cut = said[-2].text
    return [*said[:-2], Saying(cut[: len(cut) // 2], 0.3)]


def _hedge(rng: Random, chance: float) -> str:
    if rng.random() >= chance:
        return ""
    return rng.choice(
        (
            "I am not entirely sure, but this should be right.\n",
            "I may have made a mistake somewhere.\n",
            "This is probably it.\n",
            "If I read the task correctly:\n",
        )
    )
