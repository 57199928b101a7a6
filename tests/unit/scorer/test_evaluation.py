"""Measures agree with their definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from scorer.errors import TooLittleData
from scorer.evaluation import (
    auroc,
    brier,
    excess_calibration_error,
    expected_calibration_error,
    measures,
    report_of,
)


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.5, 0.9]), st.booleans()), min_size=2, max_size=50))
def test_auroc_is_the_usual_one_ties_included(rows: list[tuple[float, bool]]) -> None:
    p, y = np.array([row[0] for row in rows]), np.array([float(row[1]) for row in rows])
    if 0 < y.mean() < 1:
        assert auroc(p, y) == pytest.approx(roc_auc_score(y, p))
    else:
        assert auroc(p, y) is None


def test_a_fractional_label_is_so_much_of_each_class() -> None:
    p, y = np.array([0.2, 0.8]), np.array([0.0, 0.75])
    assert auroc(p, y) == pytest.approx((0.75 * 1 + 0.75 * 0.25 / 2) / (0.75 * 1.25))


def test_perfect_scores_have_no_calibration_error() -> None:
    y = np.array([0.0, 1.0] * 50)
    assert expected_calibration_error(y, y) == 0
    assert brier(y, y) == 0


def test_overconfidence_is_the_gap() -> None:
    assert expected_calibration_error(np.full(100, 0.9), np.array([0.0, 1.0] * 50)) == pytest.approx(0.4)


def test_excess_of_calibrated_scores_is_about_nothing() -> None:
    random = np.random.default_rng(0)
    p = random.random(3000)
    y = (random.random(3000) < p).astype(float)
    assert abs(excess_calibration_error(p, y)) < 0.01
    assert excess_calibration_error(p**3, y) > 0.1


def test_repeated_scores_of_one_answer_are_one_chance() -> None:
    random = np.random.default_rng(0)
    p = np.repeat(random.random(200), 20)
    y = np.repeat((random.random(200) < p[::20]).astype(float), 20)
    assert excess_calibration_error(p, y) > excess_calibration_error(p, y, np.repeat(np.arange(200), 20)) + 0.02


def test_too_little_is_said() -> None:
    with pytest.raises(TooLittleData, match="at least 15 answers, not 3"):
        expected_calibration_error(np.ones(3), np.ones(3))
    with pytest.raises(TooLittleData):
        brier(np.empty(0), np.empty(0))
    few = measures(np.array([0.5]), np.array([1.0]))
    assert few["n"] == 1
    assert few["auroc"] is few["ece"] is None


def test_a_report_is_overall_and_by_model() -> None:
    report = report_of(
        np.array([0.1, 0.9, 0.4]), np.array([0.0, 1.0, 1.0]), np.arange(3), np.array([0, 0, 1]), ["a", "b", "c"]
    )
    assert report["overall"]["n"] == 3
    assert {name: part["n"] for name, part in report["models"].items()} == {"a": 2, "b": 1}
