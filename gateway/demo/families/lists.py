"""Lists of whole numbers that are reordered, filtered and computed with."""

from collections.abc import Callable
from fractions import Fraction
from random import Random

from gateway.demo.families.chain import ChainFamily, Operation, Slots
from gateway.demo.families.move import Move, Value, written
from gateway.demo.families.story import number

_SHORTEST = 3


def _start(rng: Random, level: int) -> Slots:
    return {"items": tuple(rng.randint(1, 60) for _ in range(rng.randint(4, 5 + level // 2)))}


def _items(value: Value) -> tuple[int, ...]:
    if not isinstance(value, tuple):
        raise TypeError(f"{value!r} is not a list")
    return value


def _count(slots: Slots) -> int:
    return int(number(slots["a"]))


Change = Callable[[tuple[int, ...], int], tuple[int, ...]]


def _operation(phrases: tuple[str, ...], change: Change, wrong: Change, weight: float, most: int = 9) -> Operation:
    """A change of the list, and the change that it is most often mistaken for. ``weight`` is per three items."""

    def move(value: Value, slots: Slots) -> Move:
        items, a = _items(value), _count(slots) if "a" in slots else 0
        line = "The list becomes {}"
        misread = wrong(items, a)
        return Move(
            line=line,
            right=change(items, a),
            weight=weight * len(items) / 3,
            misreadings=((line, misread),) if misread and misread != change(items, a) else (),
        )

    def draw(rng: Random, value: Value, _slots: Slots) -> Slots | None:
        a = rng.randint(2, most)
        return {"a": Fraction(a)} if len(change(_items(value), a)) >= _SHORTEST else None

    return Operation(phrases=phrases, move=move, draw=draw)


def _reduction(
    phrases: tuple[str, ...], word: str, reduce: Callable[[tuple[int, ...]], int], weight: float
) -> Operation:
    def move(value: Value, _slots: Slots) -> Move:
        items = _items(value)
        return Move(
            line=f"The {word} of {written(items)} is {{}}",
            right=Fraction(reduce(items)),
            weight=weight * len(items) / 3,
            misreadings=((f"The {word} of {written(items[:-1])} is {{}}", Fraction(reduce(items[:-1]))),)
            if len(items) > 1
            else (),
        )

    return Operation(phrases=phrases, move=move)


def _as_it_is(value: Value, _slots: Slots) -> Move:
    return Move(line="So the list is now {}", right=value, weight=0.1)


LIST = ChainFamily(
    name="lists",
    openings=("Take the list {items}.", "Start with the numbers {items}.", "Here is a list: {items}."),
    start_slot="items",
    draw_start=_start,
    operations=(
        _operation(("Reverse it.", "Turn it back to front."), lambda x, _: x[::-1], lambda x, _: tuple(sorted(x)), 0.5),
        _operation(
            ("Sort it in ascending order.", "Put the smallest first and so on upwards."),
            lambda x, _: tuple(sorted(x)),
            lambda x, _: tuple(sorted(x, reverse=True)),
            0.8,
        ),
        _operation(
            ("Sort it in descending order.", "Put the largest first and so on downwards."),
            lambda x, _: tuple(sorted(x, reverse=True)),
            lambda x, _: tuple(sorted(x)),
            0.8,
        ),
        _operation(
            ("Add {a} to every item.", "Raise each item by {a}."),
            lambda x, a: tuple(item + a for item in x),
            lambda x, a: (*(item + a for item in x[:-1]), *x[-1:]),
            0.8,
        ),
        _operation(
            ("Multiply every item by {a}.",),
            lambda x, a: tuple(item * a for item in x) if max(x, default=0) < 700 else x,
            lambda x, a: tuple(item + a for item in x),
            1.2,
            most=4,
        ),
        _operation(
            ("Leave out the first {a} items.", "Drop {a} items at the front."),
            lambda x, a: x[a:],
            lambda x, a: x[:-a],
            0.6,
            most=2,
        ),
        _operation(
            ("Leave out the last {a} items.", "Drop {a} items at the end."),
            lambda x, a: x[:-a],
            lambda x, a: x[a:],
            0.6,
            most=2,
        ),
        _operation(
            ("Append the number {a}.", "Put {a} at the end."), lambda x, a: (*x, a), lambda x, a: (a, *x), 0.4, most=60
        ),
        _operation(
            ("Move the first {a} items to the end.",),
            lambda x, a: x[a:] + x[:a],
            lambda x, a: x[-a:] + x[:-a],
            0.9,
            most=3,
        ),
        _operation(
            ("Keep only the items greater than {a}.",),
            lambda x, a: tuple(item for item in x if item > a),
            lambda x, a: tuple(item for item in x if item < a),
            0.7,
            most=30,
        ),
        _operation(
            ("Swap the first item with the last.",),
            lambda x, _: (*x[-1:], *x[1:-1], *x[:1]) if len(x) > 1 else x,
            lambda x, _: (x[1], x[0], *x[2:]) if len(x) > 1 else x,
            0.6,
        ),
    ),
    closings=(
        Operation(phrases=("What is the list now?", "Write down the list that results."), move=_as_it_is),
        _reduction(("What is the sum of its items?", "Give the total of all items."), "sum", sum, 1.4),
        _reduction(("What is its largest item?",), "largest item", lambda items: max(items, default=0), 0.4),
    ),
)
