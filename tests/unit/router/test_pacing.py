"""Pacing: more pressure never escalates more."""

from hypothesis import given
from hypothesis import strategies as st

from router.pacing import lambda_multiplier, under_pressure
from router.strategy import Stage, Strategy

SHARE = st.floats(0, 1)


def calls(strategy: Strategy, scores: list[float]) -> int:
    """How many stages a query with these scores passes through."""
    for n, (stage, score) in enumerate(zip(strategy.stages, scores, strict=True), start=1):
        if stage.threshold is None or score >= stage.threshold:
            return n
    return len(strategy.stages)


@given(st.lists(st.tuples(SHARE, SHARE), min_size=1, max_size=5), SHARE, SHARE)
def test_more_pressure_never_escalates_more(stages: list[tuple[float, float]], one: float, other: float) -> None:
    names = [Stage(model=f"m{n}", threshold=threshold) for n, (threshold, _) in enumerate(stages)]
    chain = (*names, Stage(model="last"))
    plan = Strategy.of(chain, reference_model="last", safe_model="last", scorer_version="v")
    scores = [score for _, score in stages] + [0.0]
    low, high = sorted((one, other))
    assert calls(under_pressure(plan, high), scores) <= calls(under_pressure(plan, low), scores) <= calls(plan, scores)
    assert under_pressure(plan, 0.0) is plan
    assert under_pressure(plan, 1.0).stages[0].threshold == 0.0
    assert under_pressure(plan, high).id == plan.id


@given(SHARE, SHARE)
def test_the_price_of_quality_rises_and_stays_finite(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert 1 <= lambda_multiplier(low) <= lambda_multiplier(high) <= 1000
    assert lambda_multiplier(0) == 1
