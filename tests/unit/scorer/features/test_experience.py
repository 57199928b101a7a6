"""Experience is what the labels of the kept folds say, and nothing of the others'."""

import numpy as np
import pytest

from scorer.features.experience import Experience, ExperienceByFold, ManyExperiences, facts_of
from scorer.features.table import AnswerTable
from tests.unit.scorer.features.test_agreement import table_of

N, K = 40, 4


@pytest.fixture(scope="module")
def table() -> AnswerTable:
    return table_of([["1", "1", "2", str(i % 3)] for i in range(N)])


def made(table: AnswerTable, quality: np.ndarray, without: set[int]) -> Experience:
    return ExperienceByFold(table, quality, np.arange(N) % 5).without(without)


def equal(one: Experience, other: Experience) -> bool:
    names = ("accuracy", "typical_log_chars", "spread_log_chars")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


def test_labels_of_a_left_out_fold_change_nothing(table: AnswerTable) -> None:
    quality = np.random.default_rng(0).integers(0, 2, (N, K)).astype(float)
    other = quality.copy()
    other[np.arange(N) % 5 == 2] = 1 - other[np.arange(N) % 5 == 2]
    assert equal(made(table, quality, {2}), made(table, other, {2}))
    assert not equal(made(table, quality, {1}), made(table, other, {1}))


def test_missing_labels_do_not_count(table: AnswerTable) -> None:
    quality = np.ones((N, K))
    quality[:30] = np.nan
    quality[30:, 2] = 0
    accuracy = made(table, quality, set()).accuracy
    assert accuracy[2] < 0.3 < 0.9 < accuracy[0]


def test_without_any_fold_it_knows_nothing_and_says_so_evenly(table: AnswerTable) -> None:
    blank = made(table, np.ones((N, K)), {0, 1, 2, 3, 4})
    assert np.allclose(blank.accuracy, 0.5)


def test_many_experiences_say_what_each_says(table: AnswerTable) -> None:
    quality = np.random.default_rng(1).integers(0, 2, (N, K)).astype(float)
    experiences = [made(table, quality, {fold}) for fold in range(3)]
    together = ManyExperiences(experiences).facts_of(np.array([2]))
    for index, experience in enumerate(experiences):
        alone = facts_of(experience, np.array([2]))
        assert np.array_equal(together.accuracies[index], alone.accuracies[0])
        assert together.accuracy[index] == alone.accuracy[0]
