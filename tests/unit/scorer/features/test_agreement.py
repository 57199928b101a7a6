"""Agreement is symmetric, does not care for the order of the others, and follows who is right."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scorer.features import agreement
from scorer.features.analysis import analyse
from scorer.features.experience import ExperienceByFold, facts_of
from scorer.features.matrix import alone_names, alone_rows, together_names, together_rows
from scorer.features.query import read_query
from scorer.features.table import AnswerTable, tabulate
from tests.unit.scorer.synthetic import answer, query

MODELS = ("a", "b", "c", "d")
said = st.lists(st.sampled_from(["1", "2", "3", "", "a story without any end"]), min_size=4, max_size=4)


def table_of(sayings: list[list[str]]) -> AnswerTable:
    asked = read_query(query("How many?"))
    rows = [
        (
            asked,
            [
                analyse(asked, answer(m, f"The answer is {s}." if s.isdigit() else s))
                for m, s in zip(MODELS, row, strict=True)
            ],
        )
        for row in sayings
    ]
    return tabulate(rows, MODELS, len(rows))


def measured(table: AnswerTable, context: list[bool], model: int) -> dict[str, float]:
    quality = np.tile([1.0, 1.0, 0.0, 1.0], (len(table), 1))
    folds = np.arange(len(table)) % 2
    experience = ExperienceByFold(table, quality, folds).without(())
    rows, models = np.array([0]), np.array([model])
    values = agreement.measure(table, rows, models, np.array([context]), facts_of(experience, models))
    return dict(zip(agreement.NAMES, values[0].tolist(), strict=True))


@given(said)
def test_two_agree_or_neither_does(sayings: list[str]) -> None:
    table = table_of([sayings, sayings])
    for one, other in ((0, 1), (1, 3), (2, 0)):
        there, back = (measured(table, [m == o for m in range(4)], by) for by, o in ((one, other), (other, one)))
        assert (there["agreeing"], there["differing"]) == (back["agreeing"], back["differing"])
        assert there["relative_log_chars"] == -back["relative_log_chars"]


@given(said, st.lists(st.booleans(), min_size=4, max_size=4))
def test_counts_add_up(sayings: list[str], context: list[bool]) -> None:
    table = table_of([sayings, sayings])
    values = measured(table, context, 0)
    one_by_one = [measured(table, [m == other for m in range(4)], 0) for other in range(1, 4) if context[other]]
    assert values["others"] == sum(context[1:])
    assert values["agreeing"] == sum(each["agreeing"] for each in one_by_one)
    assert values["differing"] == sum(each["differing"] for each in one_by_one)
    assert values["rivals"] <= values["differing"]
    assert values["rival_size"] <= values["differing"]


@given(said, st.permutations(range(1, 4)))
def test_models_are_a_set(sayings: list[str], order: list[int]) -> None:
    """Others that change places with equal standing change nothing for the answer."""
    table = table_of([sayings, sayings])
    column = [0, *order]
    moved = table_of([[sayings[column[place]] for place in range(4)]] * 2)
    counts = ("others", "others_concluded", "agreeing", "differing", "rivals", "rival_size")
    here, there = measured(table, [True] * 4, 0), measured(moved, [True] * 4, 0)
    assert [here[name] for name in counts] == [there[name] for name in counts]


def test_without_others_nothing_is_compared() -> None:
    values = measured(table_of([["1", "1", "2", "1"]] * 2), [False] * 4, 0)
    assert values["others"] == values["agreeing"] == values["differing"] == 0
    assert np.isnan(values["agreeing_share"])
    assert np.isnan(values["relative_log_chars"])


def test_rows_have_the_names_that_are_said() -> None:
    table = table_of([["1", "2", "2", ""]] * 4)
    experience = ExperienceByFold(table, np.ones((4, 4)), np.arange(4) % 2).without({0})
    rows, models = np.array([0, 1]), np.array([2, 3])
    facts = facts_of(experience, models)
    assert alone_rows(table, rows, models, facts).shape == (2, len(alone_names(MODELS)))
    context = np.ones((2, 4), dtype=np.bool_)
    assert together_rows(table, rows, models, context, facts).shape == (2, len(together_names(MODELS)))
