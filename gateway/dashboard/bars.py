"""Where the bars of a chart stand, in percent of a plot. Knows geometry; knows no colour and no HTML."""

from collections.abc import Sequence
from dataclasses import dataclass

_BAR = 0.64  # of a slot's width


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One slot: its value as a bar, and what it is compared with as a mark. All in percent; y counts downwards."""

    slot_x: float
    slot_width: float
    x: float
    width: float
    y: float
    height: float
    mark_y: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """Bars, and the amounts at which grid lines stand, from the top down to zero."""

    bars: tuple[Bar, ...]
    ticks: tuple[int, ...]


def plot(values: Sequence[int], marks: Sequence[int | None]) -> Plot:
    """Bars for amounts ≥ 0 and marks beside them, on one scale that begins at zero."""
    top = nice_top(max([*values, *(mark for mark in marks if mark is not None), 0]))
    slot = 100 / max(len(values), 1)
    bars = []
    for n, (value, mark) in enumerate(zip(values, marks, strict=True)):
        height = 100 * value / top
        bars.append(
            Bar(
                slot_x=round(n * slot, 3),
                slot_width=round(slot, 3),
                x=round((n + (1 - _BAR) / 2) * slot, 3),
                width=round(_BAR * slot, 3),
                y=round(100 - height, 3),
                height=round(height, 3),
                mark_y=None if mark is None else round(100 - 100 * mark / top, 3),
            )
        )
    return Plot(bars=tuple(bars), ticks=tuple(top * n // 4 for n in (4, 3, 2, 1, 0)))


def nice_top(largest: int) -> int:
    """The smallest round number not below ``largest`` whose quarters are round too.

    >>> nice_top(0), nice_top(99), nice_top(123_456_789)
    (4, 120, 160000000)
    """
    power: int = 10 ** max(len(str(max(largest, 1))) - 2, 0)
    return next(step * power for step in (4, 8, 12, 16, 20, 24, 32, 40, 60, 80, 120) if step * power >= largest)
