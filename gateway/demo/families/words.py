"""Words whose letters are moved, removed and replaced."""

from collections.abc import Callable
from fractions import Fraction
from random import Random

from gateway.demo.families.chain import ChainFamily, Operation, Slots
from gateway.demo.families.move import Move, Value
from gateway.demo.families.story import number

_WORDS = (
    "harbor", "lantern", "meadow", "compass", "orchard", "thunder", "velvet", "glacier", "saffron", "pebble",
    "caravan", "dolphin", "cinnamon", "feather", "monsoon", "parsley", "quarry", "ribbon", "sparrow", "turbine",
    "umbrella", "vineyard", "walnut", "yonder", "zeppelin", "bramble", "cobalt", "drizzle", "ember", "fjord",
)  # fmt: skip
_SUFFIXES = ("ing", "less", "ful", "ship", "ward", "let")
_SHORTEST, _LONGEST = 4, 24


def _start(rng: Random, _level: int) -> Slots:
    return {"text": rng.choice(_WORDS)}


def _word(value: Value) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a word")
    return value


Change = Callable[[str, Slots], str]


def _operation(
    phrases: tuple[str, ...],
    change: Change,
    wrong: Change,
    weight: float,
    draw: Callable[[Random, str], Slots] = lambda _rng, _word: {},
) -> Operation:
    """A change of the word, and the change that it is most often mistaken for. ``weight`` is per five letters."""

    def move(value: Value, slots: Slots) -> Move:
        word = _word(value)
        line = "The word becomes {}"
        misread = wrong(word, slots)
        return Move(
            line=line,
            right=change(word, slots),
            weight=weight * len(word) / 5,
            misreadings=((line, misread),) if misread and misread != change(word, slots) else (),
        )

    def drawn(rng: Random, value: Value, _slots: Slots) -> Slots | None:
        slots = draw(rng, _word(value))
        fits = _SHORTEST <= len(change(_word(value), slots)) <= _LONGEST
        return slots if fits else None

    return Operation(phrases=phrases, move=move, draw=drawn)


def _few(rng: Random, _word: str) -> Slots:
    return {"a": Fraction(rng.randint(2, 3))}


def _letters(rng: Random, word: str) -> Slots:
    return {"letter": rng.choice(word), "other": rng.choice("aeioustrn")}


def _suffix(rng: Random, _word: str) -> Slots:
    return {"suffix": rng.choice(_SUFFIXES)}


def _n(slots: Slots) -> int:
    return int(number(slots["a"]))


def _replaced(word: str, slots: Slots, times: int = -1) -> str:
    return word.replace(_word(slots["letter"]), _word(slots["other"]), times)


def _ends_swapped(word: str, _slots: Slots) -> str:
    return word[-1] + word[1:-1] + word[0] if len(word) > 1 else word


def _as_it_is(value: Value, _slots: Slots) -> Move:
    return Move(line="So the word is now {}", right=value, weight=0.1)


def _length(value: Value, _slots: Slots) -> Move:
    word = _word(value)
    line = f"Counting the letters of {word} gives {{}}"
    near = tuple((line, Fraction(len(word) + off)) for off in (-1, 1))
    return Move(line=line, right=Fraction(len(word)), weight=len(word) / 6, misreadings=near)


WORD = ChainFamily(
    name="words",
    openings=("Take the word {text}.", "Start from the word {text}.", "Consider the word {text}."),
    start_slot="text",
    draw_start=_start,
    operations=(
        _operation(("Reverse it.", "Write it backwards."), lambda w, _: w[::-1], _ends_swapped, 0.9),
        _operation(
            ("Remove the first {a} letters.", "Cut off {a} letters at the front."),
            lambda w, s: w[_n(s) :],
            lambda w, s: w[: -_n(s)],
            0.6,
            _few,
        ),
        _operation(
            ("Remove the last {a} letters.", "Cut off {a} letters at the end."),
            lambda w, s: w[: -_n(s)],
            lambda w, s: w[_n(s) :],
            0.6,
            _few,
        ),
        _operation(
            ("Move the first {a} letters to the end.",),
            lambda w, s: w[_n(s) :] + w[: _n(s)],
            lambda w, s: w[-_n(s) :] + w[: -_n(s)],
            0.9,
            _few,
        ),
        _operation(
            ("Replace every {letter} by {other}.", "Change each {letter} into {other}."),
            _replaced,
            lambda w, s: _replaced(w, s, 1),
            0.7,
            _letters,
        ),
        _operation(
            ("Append {suffix} to it.", "Put {suffix} behind it."),
            lambda w, s: w + _word(s["suffix"]),
            lambda w, s: w + _word(s["suffix"])[:-1],
            0.3,
            _suffix,
        ),
        _operation(
            ("Swap its first letter with its last.",),
            _ends_swapped,
            lambda w, _: w[::-1],
            0.6,
        ),
        _operation(("Double its last letter.",), lambda w, _: w + w[-1:], lambda w, _: w[:1] + w, 0.4),
        _operation(
            ("Sort its letters alphabetically.",),
            lambda w, _: "".join(sorted(w)),
            lambda w, _: "".join(sorted(set(w))),
            1.2,
        ),
    ),
    closings=(
        Operation(phrases=("What is the word now?", "Which word results?"), move=_as_it_is),
        Operation(phrases=("How many letters does it have now?",), move=_length),
    ),
)
