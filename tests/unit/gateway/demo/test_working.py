"""Workers slip in ways that are wrong but possible, and get through every task however badly they go."""

from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.demo.families.move import Move, Value, honest, written
from gateway.demo.tasks import Task, generate, read
from gateway.demo.working import Skill, near, work_out

TASKS = generate(11, 200)
CARELESS = Skill(slips=5.0, terse=0.1, rambles=0.3, candour=0.2)
PERFECT = Skill(slips=0.0, terse=0.3, rambles=1.0, candour=1.0)


@given(
    st.one_of(
        st.fractions(max_denominator=1).map(Fraction),
        st.decimals(-1000, 1000, places=2).map(Fraction),
        st.text("abcdef", max_size=8),
        st.lists(st.integers(-50, 50), max_size=6).map(tuple),
    ),
    st.integers(0, 10**6),
)
def test_what_is_near_is_never_right_and_of_the_same_kind(right: Value, seed: int) -> None:
    wrong = near(right, Random(seed))
    assert wrong != right
    assert type(wrong) is type(right)


@given(st.sampled_from(TASKS), st.integers(0, 10**6))
def test_whoever_goes_wrong_at_every_step_still_comes_to_an_end(task: Task, seed: int) -> None:
    problem = read(task.question)
    assert problem is not None
    sayings, _ended = work_out(problem, CARELESS, 1.0, Random(seed), Random(seed))
    assert "".join(saying.text for saying in sayings)


@given(st.sampled_from(TASKS), st.integers(0, 10**6))
def test_every_careless_reading_of_every_step_leads_on(task: Task, seed: int) -> None:
    problem = read(task.question)
    assert problem is not None
    rng = Random(seed)

    def hand(move: Move) -> Value:
        written(move.right)
        return rng.choice([move.right, *(value for _, value in move.misreadings), near(move.right, rng)])

    problem.solve(hand)


@pytest.mark.parametrize("task", TASKS[:40], ids=lambda task: task.id)
def test_whoever_never_slips_is_right_and_does_not_ramble(task: Task) -> None:
    problem = read(task.question)
    assert problem is not None
    sayings, ended = work_out(problem, PERFECT, 1.0, Random(1), Random(2))
    assert ended
    assert sayings[-1].text == written(problem.solve(honest))
