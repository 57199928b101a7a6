"""What the report computes itself: calibration with an interval around it."""

import numpy as np
import pytest

from router.benchmark.methods import Runs
from router.benchmark.nested import Part
from router.benchmark.report import calibrations


def part_with(believed: np.ndarray, labels: np.ndarray) -> Part:
    none = Runs(quality=np.zeros((1, 1)), cost=np.zeros((1, 1)), belief=np.zeros((1, 1)))
    return Part(
        dataset="some",
        reference=0,
        models=("a",),
        fitted={},
        held={},
        singles_fitted=none,
        singles_held=none,
        reference_belief=np.zeros(1),
        believed=believed,
        labels=labels,
    )


@pytest.mark.parametrize("seed", range(3))
def test_the_interval_of_a_calibrated_scorer_lies_around_nothing(seed: int) -> None:
    random = np.random.default_rng(seed)
    believed = random.random((3, 300))
    labels = (random.random((3, 300)) < believed).astype(float)
    found = calibrations([[part_with(believed, labels)]], seed=0)["some"]["excess"]
    low, high = found["ci95"]
    assert low < 0.005
    assert high > -0.005
    assert low <= found["value"] <= high
    assert abs((low + high) / 2 - found["value"]) < (high - low) / 3


def test_the_interval_of_an_overconfident_scorer_excludes_nothing() -> None:
    random = np.random.default_rng(0)
    believed = random.random((3, 300))
    labels = (random.random((3, 300)) < believed**2).astype(float)
    assert calibrations([[part_with(believed, labels)]], seed=0)["some"]["excess"]["ci95"][0] > 0.05
