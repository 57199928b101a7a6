"""Sums are a commutative monoid: the laws by which shards may be done anywhere and put together in any order."""

import random

from hypothesis import given
from hypothesis import strategies as st

from router.offline.sums import Sums

SIZES = {("a",): 1, ("b", 0): 3, ("b", 1): 3, ("single", "model"): 2}


@st.composite
def sums(draw: st.DrawFn) -> Sums:
    keys = draw(st.sets(st.sampled_from(sorted(SIZES, key=str))))
    wide = st.integers(-(10**40), 10**40)
    return Sums({key: tuple(draw(wide) for _ in range(SIZES[key])) for key in keys})


@given(a=sums(), b=sums(), c=sums())
def test_the_order_of_putting_together_does_not_matter(a: Sums, b: Sums, c: Sums) -> None:
    assert (a + b) + c == a + (b + c)
    assert a + b == b + a


@given(a=sums())
def test_nothing_changes_nothing(a: Sums) -> None:
    assert a + Sums() == a == Sums() + a


@given(parts=st.lists(sums(), max_size=6), seed=st.integers(0, 99))
def test_a_total_is_the_parts_put_together_one_by_one(parts: list[Sums], seed: int) -> None:
    one_by_one = Sums()
    for part in parts:
        one_by_one = one_by_one + part
    random.Random(seed).shuffle(parts)
    assert Sums.total(parts) == one_by_one
    for key, size in SIZES.items():
        held = [part.of(*key, size=size) for part in parts]
        assert one_by_one.of(*key, size=size) == tuple(sum(each[i] for each in held) for i in range(size))
