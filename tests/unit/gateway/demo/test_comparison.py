"""Sums, savings and intervals of the served part, on exchanges made by hand."""

import math
from decimal import Decimal

import pytest

from gateway.demo.comparison import compare, side
from gateway.demo.tasks import Task
from gateway.demo.traffic import Exchange
from router.strategy import Stage, Strategy

STRATEGY = Strategy.of(
    [Stage(model="small", threshold=0.8), Stage(model="large")],
    reference_model="large",
    safe_model="large",
    scorer_version="s",
)


def exchange(
    number: int, *, right: bool, cost: str | None, tier: int | None = 1, cache: str | None = "MISS"
) -> Exchange:
    task = Task(id=str(number), family="words", question="?", truth="!", difficulty=1.0)
    return Exchange(
        task=task,
        body={},
        right=right,
        latency_s=0.1,
        cost_usd=None if cost is None else Decimal(cost),
        tier=tier,
        cache=cache,
    )


SERVED = [
    exchange(0, right=True, cost="0.001"),
    exchange(1, right=False, cost="0.001"),
    exchange(2, right=True, cost="0.011", tier=2),
    exchange(3, right=True, cost="0.011", tier=2),
    exchange(0, right=True, cost="0", cache="HIT"),
    exchange(3, right=True, cost="0.011", tier=2),
]
ALONE = {
    "small": [exchange(n, right=n < 1, cost="0.001") for n in range(4)],
    "large": [exchange(n, right=n < 3, cost="0.010") for n in range(4)],
}


def test_new_questions_are_compared_and_repeats_are_counted_apart() -> None:
    comparison = compare(SERVED, ALONE, STRATEGY)
    assert comparison.cascade.questions == 4
    assert comparison.cascade.quality == 0.75
    assert comparison.cascade.usd_per_1k == 6
    assert comparison.reference.name == "always large"
    assert comparison.cascade.saving(comparison.reference) == pytest.approx(0.4)
    assert (comparison.repeats, comparison.hits) == (2, 1)
    assert comparison.with_repeats.cost_usd == Decimal("0.035")
    assert comparison.reference_with_repeats.cost_usd == Decimal("0.060")


def test_the_difference_is_paired_by_question() -> None:
    comparison = compare(SERVED, ALONE, STRATEGY)
    low, high = comparison.difference_ci95
    assert comparison.difference == 0.0  # one gained, one lost
    assert low == -high
    assert high == pytest.approx(1.959964 * math.sqrt(2 / 3 / 4))


def test_tiers_are_told_by_who_was_asked_and_who_answered() -> None:
    first, second = compare(SERVED, ALONE, STRATEGY).tiers
    assert (first.model, first.asked, first.accepted, first.right) == ("small", 4, 2, 1)
    assert (second.model, second.asked, second.accepted, second.right) == ("large", 2, 2, 2)


def test_a_cost_that_is_not_known_is_never_taken_for_nothing() -> None:
    with pytest.raises(ValueError, match="without a cost"):
        side("x", [exchange(1, right=True, cost=None)])


def test_where_nothing_was_asked_nothing_is_claimed() -> None:
    empty = side("x", [])
    assert math.isnan(empty.quality)
    assert empty.usd_per_1k.is_nan()
    assert math.isnan(empty.saving(empty))
