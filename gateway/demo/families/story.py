"""Word problems about a stock of things that grows and shrinks."""

from fractions import Fraction
from random import Random

from gateway.demo.families.chain import ChainFamily, Operation, Slots
from gateway.demo.families.move import Move, Value, digits, written

_NOUNS = ("crates", "apples", "books", "bottles", "tickets", "stamps", "chairs", "lamps", "bricks", "roses")
_NAMES = ("Amira", "Bruno", "Chen", "Dalia", "Emil", "Farah", "Goran", "Hanna")


def _start(rng: Random, level: int) -> Slots:
    most = 40 if level < 3 else 400
    return {"x": Fraction(rng.randint(8, most)), "noun": rng.choice(_NOUNS), "name": rng.choice(_NAMES)}


def number(value: Value) -> Fraction:
    """The value as the number that it is in all families that count or measure."""
    if not isinstance(value, Fraction):
        raise TypeError(f"{value!r} is not a number")
    return value


def addition(value: Value, slots: Slots) -> Move:
    """Add slot ``a``."""
    x, a = number(value), number(slots["a"])
    swapped = _swapped(a)
    return Move(
        line=f"{written(x)} + {written(a)} = {{}}",
        right=x + a,
        weight=0.25 * (digits(x) + digits(a)),
        misreadings=(
            (f"{written(x)} - {written(a)} = {{}}", abs(x - a)),
            (f"{written(x)} + {written(swapped)} = {{}}", x + swapped),
        ),
    )


def subtraction(value: Value, slots: Slots) -> Move:
    """Take slot ``a`` away."""
    x, a = number(value), number(slots["a"])
    swapped = _swapped(a)
    return Move(
        line=f"{written(x)} - {written(a)} = {{}}",
        right=x - a,
        weight=0.3 * (digits(x) + digits(a)),
        misreadings=(
            (f"{written(x)} + {written(a)} = {{}}", x + a),
            (f"{written(x)} - {written(swapped)} = {{}}", x - swapped),
        ),
    )


def multiplication(value: Value, slots: Slots) -> Move:
    """Multiply by slot ``a``."""
    x, a = number(value), number(slots["a"])
    return Move(
        line=f"{written(x)} * {written(a)} = {{}}",
        right=x * a,
        weight=0.5 * digits(x) * digits(a),
        misreadings=(
            (f"{written(x)} + {written(a)} = {{}}", x + a),
            (f"{written(x)} * {written(a + 1)} = {{}}", x * (a + 1)),
        ),
    )


def division(value: Value, slots: Slots) -> Move:
    """Divide by slot ``a``."""
    x, a = number(value), number(slots["a"])
    return Move(
        line=f"{written(x)} / {written(a)} = {{}}",
        right=x / a,
        weight=0.6 * digits(x) * digits(a),
        misreadings=((f"{written(x)} - {written(a)} = {{}}", x - a),),
    )


def _swapped(a: Fraction) -> Fraction:
    text = written(a)
    return Fraction(text[::-1]) if text.isdigit() and text != text[::-1] else a + 10


def _batch(_value: Value, slots: Slots) -> Move:
    a, b = number(slots["a"]), number(slots["b"])
    return Move(
        line=f"{written(a)} * {written(b)} = {{}}",
        right=a * b,
        weight=0.5 * digits(a) * digits(b),
        misreadings=((f"{written(a)} + {written(b)} = {{}}", a + b),),
    )


def _some(rng: Random, value: Value, _slots: Slots) -> Slots:
    return {"a": Fraction(rng.randint(3, max(9, int(number(value)) // 2)))}


def _fewer(rng: Random, value: Value, _slots: Slots) -> Slots | None:
    x = int(number(value))
    return {"a": Fraction(rng.randint(2, x - 1))} if x > 3 else None


def _batches(rng: Random, _value: Value, _slots: Slots) -> Slots:
    return {"a": Fraction(rng.randint(2, 12)), "b": Fraction(rng.randint(3, 25))}


def _fewer_batches(rng: Random, value: Value, _slots: Slots) -> Slots | None:
    a = rng.randint(2, 9)
    most = int(number(value)) // a
    return {"a": Fraction(a), "b": Fraction(rng.randint(2, min(most, 25)))} if most >= 2 else None


def _factor(rng: Random, value: Value, _slots: Slots) -> Slots | None:
    return {"a": Fraction(rng.randint(2, 5))} if number(value) < 2000 else None


def _divisor(rng: Random, value: Value, _slots: Slots) -> Slots | None:
    fitting = [k for k in range(2, 10) if number(value) % k == 0]
    return {"a": Fraction(rng.choice(fitting))} if fitting and number(value) > 12 else None


def _as_it_is(value: Value, slots: Slots) -> Move:
    return Move(line=f"So there are {{}} {written(slots['noun'])}.", right=value, weight=0.1)


STORY = ChainFamily(
    name="story",
    openings=(
        "{name} has {x} {noun}.",
        "A shop starts the week with {x} {noun}.",
        "There are {x} {noun} in the store room.",
        "In the morning {name} counts {x} {noun}.",
    ),
    start_slot="x",
    draw_start=_start,
    operations=(
        Operation(
            phrases=(
                "{a} more {noun} arrive.",
                "Then {a} {noun} are delivered.",
                "Somebody brings another {a} {noun}.",
            ),
            move=addition,
            draw=_some,
        ),
        Operation(
            phrases=("{a} of them are sold.", "Then {a} {noun} are given away.", "{a} {noun} turn out broken and go."),
            move=subtraction,
            draw=_fewer,
        ),
        Operation(
            phrases=("{a} boxes with {b} {noun} each come in.", "Next, {a} deliveries of {b} {noun} arrive."),
            move=addition,
            before=_batch,
            draw=_batches,
        ),
        Operation(
            phrases=("{a} customers take {b} {noun} each.", "After that {a} people get {b} {noun} each."),
            move=subtraction,
            before=_batch,
            draw=_fewer_batches,
        ),
        Operation(
            phrases=("The stock then grows to {a} times its size.", "Their number is then multiplied by {a}."),
            move=multiplication,
            draw=_factor,
        ),
        Operation(
            phrases=(
                "They are shared equally among {a} shelves, and only one shelf is kept.",
                "They are split into {a} equal lots, and all lots but one are sent off.",
            ),
            move=division,
            draw=_divisor,
        ),
    ),
    closings=(
        Operation(
            phrases=("How many {noun} are there now?", "How many {noun} are left in the end?"),
            move=_as_it_is,
        ),
    ),
)
