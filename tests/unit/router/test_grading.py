"""Who is shown beside whom, and what a judge's words mean."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.grading import both_orders, grades_of, pairs
from tests.fakelog import fake_log

QUERY = fake_log(1)[0]
MODELS = tuple(f"m{n}" for n in range(9))
WIDE = replace(QUERY, answers=dict.fromkeys(MODELS, QUERY.answers["small"]), labels=dict.fromkeys(MODELS, 1.0))


@given(st.sets(st.sampled_from(MODELS)), st.sets(st.sampled_from(MODELS)))
def test_each_wanted_answer_is_shown_once_beside_another_one(wanted: set[str], others: set[str]) -> None:
    met = pairs(WIDE, wanted, wanted | others)
    shown = [model for pair in met for model in pair]
    assert all(one != other for one, other in met)
    if len(wanted | others) > 1:
        assert set(shown) >= wanted
    assert len(met) <= (len(wanted) + 1) // 2
    assert met == pairs(WIDE, wanted, wanted | others)


def test_an_answer_alone_meets_nobody() -> None:
    assert pairs(QUERY, {"small"}, {"small"}) == []
    assert pairs(QUERY, set(), {"small", "large"}) == []


def test_both_orders_show_the_same_two_answers() -> None:
    one, other = (json.loads(each.body()["messages"][1]["content"]) for each in both_orders(("small", "large"), QUERY))
    assert one["first_answer"] == other["second_answer"]
    assert one["second_answer"] == other["first_answer"]
    assert one["first_answer"]["text"] == QUERY.answers["small"].answer.text
    assert "small" not in json.dumps(one)  # nobody is told who said it


def test_a_question_is_known_by_what_is_asked_and_whom() -> None:
    as_given, turned = both_orders(("small", "large"), QUERY)
    assert as_given.key("judge") == both_orders(("small", "large"), QUERY)[0].key("judge")
    assert len({as_given.key("judge"), turned.key("judge"), as_given.key("other")}) == 3


@pytest.mark.parametrize(
    ("text", "grades"),
    [
        ("Both try.\nGRADES 10 0", (1.0, 0.0)),
        ("GRADES: 7.5, 3", (0.75, 0.3)),
        ("**GRADES 8 and 9.**", (0.8, 0.9)),
        ("**GRADES 8 / 9.**\n", (0.8, 0.9)),
        ("GRADES 11 3", None),
        ("GRADES 8", None),
        ("GRADES 8 9, or rather UNSURE", None),
        ("UNSURE", None),
        ("", None),
    ],
)
def test_what_a_judge_says(text: str, grades: tuple[float, float] | None) -> None:
    assert grades_of(text) == grades
