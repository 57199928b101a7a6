"""Which requests are drawn: so many as were wished for, and always the same ones."""

import pytest

from gateway.shadow import Shadow
from router.ids import new_id


@pytest.mark.parametrize("share", [0.01, 0.2, 1.0])
def test_so_many_are_drawn_as_were_wished_for(share: float) -> None:
    shadow = Shadow(share=share, daily_nanousd=1)
    names = [new_id("dec") for _ in range(20_000)]
    drawn = [name for name in names if shadow.takes(name)]
    assert len(drawn) / len(names) == pytest.approx(share, abs=4 * (share * (1 - share) / len(names)) ** 0.5)
    assert drawn == [name for name in names if shadow.takes(name)]


def test_a_larger_share_draws_the_same_ones_and_more() -> None:
    few, many = Shadow(share=0.1, daily_nanousd=1), Shadow(share=0.3, daily_nanousd=1)
    names = [new_id("dec") for _ in range(2000)]
    assert {n for n in names if few.takes(n)} < {n for n in names if many.takes(n)}
