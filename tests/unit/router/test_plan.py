"""A plan under load: what is dearer is not chosen sooner, and nothing else about it changes."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from router.plan import FEATURES, Plan, State, further

K = 3
WEIGHT = st.floats(-2, 2)
STATES: tuple[State, ...] = ((), (0,), (1,), (0, 1), (0, 2))


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Any plan of three models without a floor, by which the reference is asked whatever it costs."""
    row = st.tuples(*(WEIGHT for _ in FEATURES))
    return Plan(
        models=("small", "middling", "large"),
        reference="large",
        exchange=draw(st.floats(0, 1000)),
        rates=((1.0, 1.0), (2.0, 8.0), (10.0, 40.0)),
        depth=K,
        spread=(0.1, 0.1, 0.1),
        values={state: {more: draw(row) for more in further(state, K, K)} for state in STATES},
    )


def chosen(plan: Plan, state: State, beliefs: list[float]) -> int:
    costs = plan.costs(np.array([100.0]), np.array([[100.0] * K]))
    return int(plan.choose(state, np.array([beliefs]), plan.weighed(costs))[0])


LOADED = st.floats(1, 50)


@given(
    plans(),
    st.sampled_from(STATES),
    st.lists(st.floats(0, 1), min_size=K, max_size=K),
    st.lists(LOADED, min_size=K, max_size=K),
    st.integers(0, K - 1),
    LOADED,
)
def test_more_load_never_makes_a_tier_chosen_that_was_not(
    plan: Plan, state: State, beliefs: list[float], factors: list[float], busier: int, more: float
) -> None:
    before = plan.congested(dict(zip(plan.models, factors, strict=True)))
    factors[busier] *= more
    after = plan.congested(dict(zip(plan.models, factors, strict=True)))
    assert busier in (chosen(before, state, beliefs), -1) or chosen(after, state, beliefs) != busier


@given(plans(), st.lists(st.floats(0, 1), min_size=K, max_size=K))
def test_idle_engines_change_nothing_and_no_file_tells_of_a_moment(plan: Plan, beliefs: list[float]) -> None:
    idle = plan.congested({})
    assert chosen(idle, (0,), beliefs) == chosen(plan, (0,), beliefs)
    busy = plan.congested({"small": 9.0})
    assert busy.congestion == (9.0, 1.0, 1.0)
    assert busy.to_document() == plan.to_document()
    assert Plan.from_document(busy.to_document()) == replace(plan, congestion=())
