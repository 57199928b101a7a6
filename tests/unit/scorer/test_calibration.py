"""Calibrators never turn an order around, stay within [0, 1], survive being written, and mean what they say."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from scorer.calibration import METHODS, Calibrator, Method, calibrate, choose, side_by_side
from scorer.errors import ArtifactError
from scorer.models.scorer import sigmoid

logits = arrays.arrays(np.float64, st.integers(2, 60), elements=st.floats(-30, 30))


@given(logits, st.integers(0, 2**32 - 1), st.sampled_from(METHODS))
def test_calibrators_are_monotone_and_bounded(z: np.ndarray, seed: int, method: Method) -> None:
    y = np.random.default_rng(seed).random(len(z)).round()
    p = calibrate(z, y, method)(np.linspace(-40, 40, 500))
    assert (np.diff(p) >= -1e-12).all()
    assert ((p > 0) & (p < 1)).all()


@given(logits, st.sampled_from(METHODS))
def test_fractional_and_one_sided_labels_are_fine(z: np.ndarray, method: Method) -> None:
    assert np.isfinite(calibrate(z, np.full(len(z), 1.0), method)(z)).all()
    assert np.isfinite(calibrate(z, np.linspace(0.2, 0.8, len(z)), method)(z)).all()


@pytest.mark.parametrize("method", METHODS)
def test_what_is_written_is_read_back_exactly(method: Method) -> None:
    z, y = np.linspace(-3, 3, 200), np.random.default_rng(0).integers(0, 2, 200).astype(float)
    fitted = calibrate(z, y, method)
    again = Calibrator.from_json(json.loads(json.dumps(fitted.as_json())))
    assert np.array_equal(again(z), fitted(z))


@pytest.mark.parametrize("method", [method for method in METHODS if method != "identity"])
def test_overconfident_scores_are_put_right(method: Method) -> None:
    random = np.random.default_rng(1)
    true = random.normal(0, 1, 20_000)
    y = (random.random(20_000) < sigmoid(true)).astype(float)
    fitted = calibrate(3 * true + 1, y, method)
    for value in (-1.0, 0.0, 1.0):
        said = fitted(np.array([3 * value + 1]))[0]
        assert said == pytest.approx(sigmoid(np.array([value]))[0], abs=0.04)


@pytest.mark.parametrize("method", METHODS)
def test_different_scores_stay_different(method: Method) -> None:
    random = np.random.default_rng(3)
    z = random.normal(2, 1, 500)
    p = calibrate(z, (random.random(500) < sigmoid(z)).astype(float), method)(np.sort(z)[5:-5])
    assert len(set(p.tolist())) > 400


def test_the_choice_is_by_held_out_brier_and_prefers_smooth_maps() -> None:
    random = np.random.default_rng(2)
    z = random.normal(0, 1, 4000)
    parts = random.integers(0, 4, 4000)
    smooth, briers = choose(z, (random.random(4000) < sigmoid(z)).astype(float), parts)
    assert smooth.method in ("identity", "platt", "beta")
    assert set(briers) == set(METHODS)
    stepped, _ = choose(z, (np.sign(z) * 0.4 + 0.5 > random.random(4000)).astype(float), parts)
    assert stepped.method in ("isotonic", "venn_abers")


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"method": "magic", "curve": [], "at": [0], "value": [0]},
        {"method": "platt", "curve": [1], "at": [], "value": []},
        {"method": "isotonic", "curve": [], "at": [], "value": []},
        {"method": "isotonic", "curve": [], "at": [1, 2], "value": [1]},
        {"method": "isotonic", "curve": [], "at": ["x"], "value": [1]},
    ],
)
def test_nonsense_is_no_calibration(data: dict[str, object]) -> None:
    with pytest.raises(ArtifactError):
        Calibrator.from_json(data)


def test_maps_side_by_side_say_what_each_says() -> None:
    random = np.random.default_rng(5)
    z = random.normal(size=(50, 3))
    y = (z + random.normal(size=z.shape) > 0).astype(float)
    kinds: tuple[tuple[Method, ...], ...] = (("platt",) * 3, ("platt", "isotonic", "beta"))
    for methods in kinds:
        maps = [calibrate(z[:, column], y[:, column], method) for column, method in enumerate(methods)]
        expected = np.stack([each(z[:, column]) for column, each in enumerate(maps)], axis=1)
        assert np.array_equal(side_by_side(maps, z), expected)
