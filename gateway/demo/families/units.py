"""Amounts in metric units that are added to, shared out and converted."""

from collections.abc import Mapping
from fractions import Fraction
from random import Random

from gateway.demo.families.chain import ChainFamily, Operation, Slots
from gateway.demo.families.move import Move, Value, decimal_places, digits, written
from gateway.demo.families.story import addition, division, multiplication, number, subtraction

UNITS: Mapping[str, Mapping[str, int]] = {
    "length": {"millimetres": 1, "centimetres": 10, "metres": 1000, "kilometres": 1_000_000},
    "mass": {"milligrams": 1, "grams": 1000, "kilograms": 1_000_000, "tonnes": 1_000_000_000},
    "volume": {"millilitres": 1, "centilitres": 10, "litres": 1000, "cubic metres": 1_000_000},
    "time": {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400},
}
"""Each unit's size in the smallest of its dimension."""

_MOST_PLACES = 4


def _siblings(unit: Value) -> Mapping[str, int]:
    return next((units for units in UNITS.values() if unit in units), {})


def _start(rng: Random, level: int) -> Slots:
    unit = rng.choice(list(UNITS[rng.choice(list(UNITS))]))
    places = 0 if level < 2 else 1
    return {"x": Fraction(rng.randint(4, 99 * 10**places), 10**places), "unit": unit}


def _convert(x: Fraction, unit: Value, into: Value) -> Move:
    sizes = _siblings(unit)
    if not isinstance(unit, str) or not isinstance(into, str) or unit not in sizes or into not in sizes:
        return Move(line=f"{written(x)} {unit} cannot be told in {into}, so it stays {{}}", right=x, weight=1)
    factor = Fraction(sizes[unit], sizes[into])
    effort = 0.0 if factor == 1 else 0.8 if "minutes" in sizes else 0.1  # sixties are harder than shifting a point
    return Move(
        line=f"{written(x)} {unit} = {{}} {into}",
        right=x * factor,
        weight=0.2 + 0.35 * digits(x) + effort,
        misreadings=tuple((f"{written(x)} {unit} = {{}} {into}", x * factor * off) for off in _usual_errors(factor)),
    )


def _usual_errors(factor: Fraction) -> tuple[Fraction, ...]:
    if factor == 1:
        return ()
    return (Fraction(10), Fraction(1, 10), 1 / (factor * factor))  # a zero too many, one too few, the wrong way round


def _operand(_value: Value, slots: Slots) -> Move | None:
    if slots["into"] == slots["unit"]:
        return None
    return _convert(number(slots["a"]), slots["into"], slots["unit"])


def _result(value: Value, slots: Slots) -> Move:
    return _convert(number(value), slots["unit"], slots["into"])


def _short(*values: Fraction) -> bool:
    places = [decimal_places(value) for value in values]
    return all(count is not None and count <= _MOST_PLACES for count in places)


def _amount(rng: Random, value: Value, slots: Slots) -> Slots | None:
    into = rng.choice(list(_siblings(slots["unit"])))
    a = Fraction(rng.randint(2, 900))
    in_unit = _convert(a, into, slots["unit"]).right
    fits = isinstance(in_unit, Fraction) and _short(in_unit) and in_unit < number(value) * 20
    return {"a": a, "into": into} if fits else None


def _smaller_amount(rng: Random, value: Value, slots: Slots) -> Slots | None:
    drawn = _amount(rng, value, slots)
    if drawn is None or _convert_amount(drawn, slots) >= number(value):
        return None
    return drawn


def _convert_amount(drawn: Slots, slots: Slots) -> Fraction:
    return number(_convert(number(drawn["a"]), drawn["into"], slots["unit"]).right)


def _factor(rng: Random, value: Value, _slots: Slots) -> Slots | None:
    return {"a": Fraction(rng.randint(2, 12))} if number(value) < 5000 else None


def _divisor(rng: Random, value: Value, _slots: Slots) -> Slots | None:
    a = Fraction(rng.choice((2, 4, 5, 8, 3, 6)))
    return {"a": a} if _short(number(value) / a) else None


def _target(rng: Random, value: Value, slots: Slots) -> Slots | None:
    into = rng.choice(list(_siblings(slots["unit"])))
    told = _convert(number(value), slots["unit"], into).right
    return {"into": into} if _short(number(told)) and Fraction(1, 1000) < number(told) < 10**8 else None


UNIT = ChainFamily(
    name="units",
    openings=(
        "The work order says {x} {unit}.",
        "An amount of {x} {unit} is written down.",
        "We begin with {x} {unit}.",
    ),
    start_slot="x",
    draw_start=_start,
    operations=(
        Operation(
            phrases=("Another {a} {into} are added.", "Then {a} {into} come on top."),
            move=addition,
            before=_operand,
            draw=_amount,
        ),
        Operation(
            phrases=("Then {a} {into} are taken off.", "{a} {into} of it get used up."),
            move=subtraction,
            before=_operand,
            draw=_smaller_amount,
        ),
        Operation(
            phrases=("All of it is needed {a} times.", "The amount is then multiplied by {a}."),
            move=multiplication,
            draw=_factor,
        ),
        Operation(
            phrases=("It is divided into {a} equal parts, of which one is kept.", "Only one part in {a} remains."),
            move=division,
            draw=_divisor,
        ),
    ),
    closings=(
        Operation(phrases=("How much is that in {into}?", "How many {into} is that?"), move=_result, draw=_target),
    ),
)
