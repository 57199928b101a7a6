"""How good scores are: do they rank, are they close, do they mean what they say.

Knows scores and labels. Knows no model, no feature and no fold: what is passed in must be out of fold already.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorer.errors import TooLittleData
from scorer.models.scorer import Floats

BINS = 15
_SIMULATIONS = 40


def auroc(p: Floats, y: Floats) -> float | None:
    """P(a good answer scores above a bad one), ties counting half; None if there is only one class.

    A label between 0 and 1 counts as so much of a good answer and the rest of a bad one.
    """
    order = np.argsort(p, kind="stable")
    _, ties = np.unique(p[order], return_inverse=True)
    good = np.bincount(ties, y[order])
    bad = np.bincount(ties, 1.0 - y[order])
    pairs = good.sum() * bad.sum()
    if pairs <= 0:
        return None
    below = np.cumsum(bad) - bad
    return float((good * (below + bad / 2)).sum() / pairs)


def brier(p: Floats, y: Floats) -> float:
    """Mean squared difference of score and label (n,). Raises TooLittleData if there is none."""
    if not len(p):
        raise TooLittleData("a Brier score needs at least one answer")
    return float(np.mean((p - y) ** 2))


def expected_calibration_error(p: Floats, y: Floats, bins: int = BINS) -> float:
    """Mean gap between stated and observed quality over equal-mass bins.

    p : (n,) predicted P(good) in [0, 1].   y : (n,) observed label in [0, 1].
    Raises TooLittleData if n < bins.       Source: Guo et al., ICML 2017.
    """
    if len(p) < bins:
        raise TooLittleData(f"a calibration error over {bins} bins needs at least {bins} answers, not {len(p)}")
    order = np.argsort(p, kind="stable")
    return float(sum(abs((p[part] - y[part]).sum()) for part in np.array_split(order, bins)) / len(p))


def stability_index(before: Floats, after: Floats, bins: int = 10) -> float:
    """How far a distribution has moved: 0 is not at all, above 0.2 is usually called a shift.

    before, after : (n,), (m,) values; bins hold equally many of ``before``. Half a value is added to every bin, so that
    an empty one is no infinite shift. Raises TooLittleData where one has fewer values than bins.
    """
    if min(len(before), len(after)) < bins:
        raise TooLittleData(f"a shift over {bins} bins needs at least {bins} values on each side")
    edges = np.unique(np.quantile(before, np.linspace(0, 1, bins + 1)[1:-1]))
    shares = []
    for values in (before, after):
        counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1) + 0.5
        shares.append(counts / counts.sum())
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())


def excess_calibration_error(
    p: Floats, y: Floats, units: NDArray[np.int64] | None = None, *, seed: int = 0, bins: int = BINS
) -> float:
    """Calibration error less that of a perfectly calibrated scorer on as many answers, found by simulation.

    Even perfect probabilities show a gap in finite bins; only what goes beyond it is the scorer's own.
    units : (n,) which answer a score is of; scores of one answer in several contexts share its one label.
    """
    own = expected_calibration_error(p, y, bins)
    random = np.random.default_rng(seed)
    unit = np.arange(len(p)) if units is None else np.unique(units, return_inverse=True)[1]
    order = np.argsort(p, kind="stable")
    sorted_p, sorted_unit = p[order], unit[order]
    starts = [int(part[0]) for part in np.array_split(np.arange(len(p)), bins)]
    perfect = [
        np.abs(np.add.reduceat(sorted_p - (random.random(int(unit.max()) + 1)[sorted_unit] < sorted_p), starts)).sum()
        for _ in range(_SIMULATIONS)
    ]
    return own - float(np.mean(perfect)) / len(p)


def measures(p: Floats, y: Floats, units: NDArray[np.int64] | None = None, *, seed: int = 0) -> dict[str, Any]:
    """n, good (mean label), auroc, brier, brier_of_mean, ece and ece_excess as JSON; None where one is undefined."""
    enough = len(p) >= BINS
    return {
        "n": len(p),
        "good": float(y.mean()) if len(y) else None,
        "auroc": auroc(p, y) if len(p) else None,
        "brier": brier(p, y) if len(p) else None,
        "brier_of_mean": float(np.mean((y - y.mean()) ** 2)) if len(y) else None,
        "ece": expected_calibration_error(p, y) if enough else None,
        "ece_excess": excess_calibration_error(p, y, units, seed=seed) if enough else None,
    }


def report_of(
    p: Floats, y: Floats, rows: NDArray[np.int64], models: NDArray[np.int64], names: Sequence[str], *, seed: int = 0
) -> Mapping[str, Any]:
    """Measures overall and by model.

    p, y : (n,) scores and labels.   rows : (n,) which query.   models : (n,) index into names.
    """
    by_model = {
        name: measures(p[models == index], y[models == index], rows[models == index], seed=seed)
        for index, name in enumerate(names)
        if (models == index).any()
    }
    return {"overall": measures(p, y, rows * len(names) + models, seed=seed), "models": by_model}
