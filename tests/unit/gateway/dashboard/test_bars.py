"""Bars stand on one scale from zero, inside their plot."""

from hypothesis import given
from hypothesis.strategies import integers, lists, none, one_of, tuples

from gateway.dashboard.bars import nice_top, plot

AMOUNTS = integers(0, 10**16)


@given(lists(tuples(AMOUNTS, one_of(none(), AMOUNTS)), max_size=90))
def test_everything_stands_inside_the_plot_and_on_one_scale(slots: list[tuple[int, int | None]]) -> None:
    values, marks = [value for value, _ in slots], [mark for _, mark in slots]
    drawn = plot(values, marks)
    assert len(drawn.bars) == len(slots)
    for bar, (value, mark) in zip(drawn.bars, slots, strict=True):
        assert 0 <= bar.slot_x <= bar.x
        assert bar.x + bar.width <= bar.slot_x + bar.slot_width + 0.002 <= 100.1
        assert bar.y >= 0
        assert abs(bar.y + bar.height - 100) < 0.01
        assert abs(bar.height - 100 * value / drawn.ticks[0]) < 0.01
        assert (bar.mark_y is None) == (mark is None)
        assert bar.mark_y is None or 0 <= bar.mark_y <= 100


@given(AMOUNTS)
def test_the_scale_is_round_and_not_wasteful(largest: int) -> None:
    top = nice_top(largest)
    assert largest <= top <= max(4, 2 * largest)
    assert top % 4 == 0


def test_ticks_run_down_to_zero() -> None:
    assert plot([70], [None]).ticks == (80, 60, 40, 20, 0)
