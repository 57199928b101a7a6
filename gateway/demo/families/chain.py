"""Tasks that lead one value through a chain of operations, told sentence by sentence.

Knows how to tell such a chain and read it back; the families that use it bring the sentences and what they do.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from gateway.demo.families.move import Hand, Move, Value, honest
from gateway.demo.families.phrasing import Phrase, value_of

Slots = Mapping[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """Something done to the value.

    phrases : the ways of saying it.
    move : (value, slots) → the move to make.
    draw : (rng, value, slots so far) → slots that make sense for this value, or None if none do.
    before : (value, slots) → a move whose result stands in for slot ``a``, or None where none is needed.
    """

    phrases: tuple[str, ...]
    move: Callable[[Value, Slots], Move]
    draw: Callable[[Random, Value, Slots], Slots | None] = lambda _rng, _value, _slots: {}
    before: Callable[[Value, Slots], Move | None] = lambda _value, _slots: None


@dataclass(frozen=True, slots=True)
class Chain:
    """A task that was read: where it starts, and what is done then."""

    start: Value
    steps: tuple[tuple[Operation, Slots], ...]

    def solve(self, hand: Hand) -> Value:
        value = self.start
        for operation, slots in self.steps:
            preparation = operation.before(value, slots)
            given = slots if preparation is None else {**slots, "a": hand(preparation)}
            value = hand(operation.move(value, given))
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainFamily:
    """openings : sentences that give the start. draw_start : (rng, level) → the slots of an opening."""

    name: str
    openings: tuple[str, ...]
    start_slot: str
    draw_start: Callable[[Random, int], Slots]
    operations: Sequence[Operation]
    closings: Sequence[Operation]
    _readers: dict[str, re.Pattern[str]] = field(default_factory=dict, compare=False)

    def pose(self, rng: Random, level: int) -> str:
        while True:
            told = self._tell(rng, level)
            if told is not None:
                return told

    def _tell(self, rng: Random, level: int) -> str | None:
        slots = dict(self.draw_start(rng, level))
        value = slots[self.start_slot]
        sentences = [Phrase(rng.choice(self.openings)).write(slots)]
        operation: Operation | None = None
        for _ in range(level):
            operation = rng.choice([other for other in self.operations if other is not operation])
            drawn = operation.draw(rng, value, slots)
            if drawn is None:
                return None
            value = _after(operation, value, {**slots, **drawn})
            sentences.append(_capital(Phrase(rng.choice(operation.phrases)).write({**slots, **drawn})))
        closing = rng.choice(self.closings)
        drawn = closing.draw(rng, value, slots)
        if drawn is None:
            return None
        return " ".join([*sentences, Phrase(rng.choice(closing.phrases)).write({**slots, **drawn})])

    def read(self, text: str) -> Chain | None:
        for opening in self.openings:
            start = self._reader(opening).search(text)
            if start is not None:
                slots = _slots(start)
                steps = self._steps(text, start.end(), slots)
                return None if steps is None else Chain(slots[self.start_slot], steps)
        return None

    def _steps(self, text: str, position: int, context: Slots) -> tuple[tuple[Operation, Slots], ...] | None:
        steps: list[tuple[Operation, Slots]] = []
        while True:
            for operation in (*self.closings, *self.operations):
                match = self._match(operation, text, position)
                if match is not None:
                    context = {**context, **_slots(match)}  # so that a unit named once is still the unit later
                    steps.append((operation, context))
                    position = match.end()
                    break
            else:
                return None
            if any(operation is closing for closing in self.closings):
                return tuple(steps)

    def _match(self, operation: Operation, text: str, position: int) -> re.Match[str] | None:
        for phrase in operation.phrases:
            match = self._reader(phrase).match(text, position)
            if match is not None:
                return match
        return None

    def _reader(self, phrase: str) -> re.Pattern[str]:
        if phrase not in self._readers:
            self._readers[phrase] = re.compile(r"\s*" + Phrase(phrase).pattern)
        return self._readers[phrase]


def _after(operation: Operation, value: Value, slots: Slots) -> Value:
    return Chain(value, ((operation, slots),)).solve(honest)


def _slots(match: re.Match[str]) -> Slots:
    return {kind: value_of(kind, text) for kind, text in match.groupdict().items()}


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
