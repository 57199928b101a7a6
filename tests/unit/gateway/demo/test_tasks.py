"""Tasks repeat for a seed, differ from one another, and their checks tell right from wrong."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.demo.families.move import honest, written
from gateway.demo.tasks import FAMILIES, Task, check, generate, read
from gateway.demo.working import near

TASKS = generate(7, 300)


def test_the_same_seed_gives_the_same_tasks_however_many_are_asked_for() -> None:
    assert generate(7, 40) == TASKS[:40]
    assert generate(8, 40) != TASKS[:40]


def test_tasks_differ_and_cover_every_family() -> None:
    assert len({task.question for task in TASKS}) == len(TASKS)
    assert {task.family for task in TASKS} == {family.name for family in FAMILIES}
    assert len({task.id for task in TASKS}) == len(TASKS)


@given(st.sampled_from(TASKS), st.sampled_from(["Answer: {}", "The answer is: {}.", "answer = `{}`", "**Answer:** {}"]))
def test_the_truth_is_accepted_in_every_usual_wording(task: Task, wording: str) -> None:
    assert check(task.truth, "First this, then that: 1 + 1 = 2\n" + wording.format(task.truth))


@given(st.sampled_from(TASKS), st.integers(0, 10**6))
def test_what_is_nearly_right_is_refused(task: Task, seed: int) -> None:
    problem = read(task.question)
    assert problem is not None
    wrong = near(problem.solve(honest), Random(seed))
    assert not check(task.truth, f"Answer: {written(wrong)}")


def test_the_last_answer_stated_counts() -> None:
    assert check("12", "Answer: 11. No, wait.\nAnswer: 12")
    assert not check("12", "Answer: 12. No, wait.\nAnswer: 11")


@pytest.mark.parametrize(
    "text", ["", "12", "I would say 12", "Answer:", "Answer: ?", "Answer: 12 or 13", "Answer: 1/0"]
)
def test_a_text_that_states_no_single_answer_is_wrong(text: str) -> None:
    assert not check("12", text)


def test_numbers_may_carry_separators_and_units() -> None:
    assert check("1250", "Answer: 1,250 grams")
    assert check("0.5", "Answer: 0.50 litres")


@given(st.sampled_from(TASKS), st.text(max_size=80))
def test_no_text_breaks_a_check(task: Task, text: str) -> None:
    check(task.truth, text)
    check(task.truth, "Answer: " + text)
