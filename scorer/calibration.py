"""From a model's log-odds to probabilities that mean what they say: five monotone maps, and the choice among them.

Knows scores and labels. Knows no model and no feature. Every map is kept as JSON and never turns an order around.
Sources: Platt 1999; beta calibration, Kull et al. AISTATS 2017; isotonic, Zadrozny and Elkan KDD 2002; Venn–Abers,
Vovk and Petej UAI 2014.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from scorer.errors import ArtifactError
from scorer.models.scorer import Floats, is_one_class, logit, sigmoid, smoothed_mean

Method = Literal["identity", "platt", "beta", "venn_abers", "isotonic"]
METHODS: tuple[Method, ...] = ("identity", "platt", "beta", "venn_abers", "isotonic")  # the simpler, the earlier

_LEAST_GAIN = 1e-4  # of Brier score, for which a less simple map is taken
_MOST_POINTS = 400  # weighted points to which scores are gathered before a map is fitted
_GRID = 64
_SLOPE = 0.1  # share of a smooth map in a stepped one
_RIDGE = 1.0  # pull of the smooth maps towards leaving scores as they are
_LEAST, _MOST = 1e-4, 1 - 1e-4  # no finite log supports more certainty than that


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrator:
    """A monotone map from log-odds to [0, 1].

    curve : identity (), platt (slope, bias), beta (slope of ln p, slope of −ln(1−p), bias): a smooth map; else empty.
    at, value : breakpoints (log-odds and probability) of a map that is straight in between; else empty.
    """

    method: Method
    curve: tuple[float, ...] = ()
    at: Floats
    value: Floats

    def __call__(self, z: Floats) -> Floats:
        """(n,) probabilities of (n,) log-odds."""
        if self.method == "identity":
            p = sigmoid(z)
        elif self.method == "platt":
            p = sigmoid(self.curve[0] * z + self.curve[1])
        elif self.method == "beta":
            up, down, bias = self.curve
            p = sigmoid(up * -np.logaddexp(0.0, -z) + down * np.logaddexp(0.0, z) + bias)
        else:
            p = np.interp(z, self.at, self.value)
        return np.minimum(np.maximum(p, _LEAST), _MOST)

    def as_json(self) -> dict[str, Any]:
        """A JSON object that ``from_json`` reads back exactly."""
        return {
            "method": self.method,
            "curve": list(self.curve),
            "at": self.at.tolist(),
            "value": self.value.tolist(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Calibrator":
        """Raises ArtifactError if the object is not what ``as_json`` gives."""
        try:
            at, value = np.asarray(data["at"], dtype=np.float64), np.asarray(data["value"], dtype=np.float64)
            method, curve = data["method"], tuple(float(number) for number in data["curve"])
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"a calibration is not readable: {error}") from error
        n_curve = {"platt": 2, "beta": 3}.get(method, 0)
        stepped = method in ("venn_abers", "isotonic")
        if method not in METHODS or len(curve) != n_curve or at.shape != value.shape or bool(at.size) != stepped:
            raise ArtifactError(f"a calibration must be one of {', '.join(METHODS)} with its numbers, not {method!r}")
        return cls(method=method, curve=curve, at=at, value=value)


def side_by_side(calibrators: Sequence[Calibrator], z: Floats) -> Floats:
    """(n, k) probabilities of (n, k) log-odds, each column by a map of its own."""
    if any(each.method != "platt" for each in calibrators):
        return np.stack([each(z[:, column]) for column, each in enumerate(calibrators)], axis=1)
    curves = np.array([each.curve for each in calibrators])
    p: Floats = np.minimum(np.maximum(sigmoid(curves[:, 0] * z + curves[:, 1]), _LEAST), _MOST)
    return p


def calibrate(z: Floats, y: Floats, method: Method) -> Calibrator:
    """Fit one map to log-odds z (n,) and labels y (n,) in [0, 1]."""
    if is_one_class(y) and method != "identity":
        return _smooth("platt", (0.0, float(logit(np.array([smoothed_mean(y)]))[0])))
    if method == "identity":
        return _smooth(method, ())
    at, mean, weight = _gathered(z, y)
    if method == "platt":
        return _smooth(method, _logistic(at[:, None], mean, weight))
    if method == "beta":
        columns = np.stack([-np.logaddexp(0.0, -at), np.logaddexp(0.0, at)], axis=1)
        return _smooth(method, _logistic(columns, mean, weight))
    smooth = _smooth("platt", _logistic(at[:, None], mean, weight))
    steps = Calibrator(method=method, at=at, value=_pool(mean, weight)) if method == "isotonic" else None
    stepped = _venn_abers(at, mean, weight) if steps is None else steps
    # steps alone would make one score of many, and thresholds could no longer tell their answers apart
    value = (1 - _SLOPE) * stepped.value + _SLOPE * smooth(stepped.at)
    return Calibrator(method=method, at=stepped.at, value=value)


def choose(z: Floats, y: Floats, parts: NDArray[np.int64]) -> tuple[Calibrator, dict[str, float]]:
    """The map with the least held-out Brier score, fitted to everything; and each map's Brier score.

    parts : (n,) which part a row is of; every part is judged by maps fitted to the others. A map replaces a simpler
    one only if it gains more than twice its gain's standard error over the parts: rows of one query move together.
    """
    present: Sequence[int] = np.unique(parts).tolist()
    briers: dict[Method, Floats] = {method: np.zeros(len(present)) for method in METHODS}
    for index, part in enumerate(present):
        held = parts == part
        for method in METHODS:
            fitted = calibrate(z[~held], y[~held], method) if not held.all() else _smooth("identity", ())
            briers[method][index] = np.mean((fitted(z[held]) - y[held]) ** 2)
    best: Method = METHODS[0]
    for method in METHODS[1:]:
        gains = briers[best] - briers[method]
        error = float(gains.std(ddof=1)) / len(gains) ** 0.5 if len(gains) > 1 else np.inf
        if gains.mean() > max(2 * error, _LEAST_GAIN):
            best = method
    return calibrate(z, y, best), {method: float(brier.mean()) for method, brier in briers.items()}


def _smooth(method: Method, curve: tuple[float, ...]) -> Calibrator:
    return Calibrator(method=method, curve=curve, at=np.empty(0), value=np.empty(0))


def _logistic(columns: Floats, mean: Floats, weight: Floats) -> tuple[float, ...]:
    """(slopes …, bias) of a logistic regression: no slope negative, for that would turn the order around, and slopes
    pulled a little towards 1, which leaves scores as they are."""
    from scipy.optimize import minimize  # noqa: PLC0415 - serving never needs it

    def loss(weights: Floats) -> tuple[float, Floats]:
        z = columns @ weights[:-1] + weights[-1]
        off = weights[:-1] - 1.0
        value = weight @ (np.logaddexp(0.0, z) - mean * z) + 0.5 * _RIDGE * off @ off
        error = weight * (sigmoid(z) - mean)
        return float(value), np.append(columns.T @ error + _RIDGE * off, error.sum())

    n_slopes = columns.shape[1]
    bounds = [(0.0, None)] * n_slopes + [(None, None)]
    found = minimize(
        loss, np.append(np.ones(n_slopes), 0.0), jac=True, method="L-BFGS-B", bounds=bounds, options={"gtol": 1e-6}
    )
    return tuple(float(weight) for weight in found.x)


def _gathered(z: Floats, y: Floats) -> tuple[Floats, Floats, Floats]:
    """Scores gathered to at most _MOST_POINTS points of increasing score: (score, mean label, weight)."""
    order = np.argsort(z, kind="stable")
    pieces = np.array_split(order, min(_MOST_POINTS, len(z)))
    at = np.array([z[piece].mean() for piece in pieces])
    mean = np.array([y[piece].mean() for piece in pieces])
    weight = np.array([float(len(piece)) for piece in pieces])
    apart = np.append(True, np.diff(at) > 1e-12)
    group = np.cumsum(apart) - 1
    total = np.bincount(group, weight).astype(np.float64)
    return at[apart], np.bincount(group, weight * mean) / total, total


def _pool(mean: Floats, weight: Floats) -> Floats:
    """Pool adjacent violators: the closest non-decreasing values."""
    values: list[float] = []
    weights: list[float] = []
    lengths: list[int] = []
    for m, w in zip(mean.tolist(), weight.tolist(), strict=True):
        value, mass, length = m, w, 1
        while values and values[-1] >= value:
            last, mass_before = values.pop(), weights.pop()
            value = (value * mass + last * mass_before) / (mass + mass_before)
            mass += mass_before
            length += lengths.pop()
        values.append(value)
        weights.append(mass)
        lengths.append(length)
    return np.repeat(np.array(values), lengths)


def _venn_abers(at: Floats, mean: Floats, weight: Floats) -> Calibrator:
    """Venn–Abers on a grid: the fit with one more bad answer there and with one more good one, put together."""
    grid = at[np.unique(np.linspace(0, len(at) - 1, min(_GRID, len(at))).astype(np.intp))]
    value = np.empty(len(grid))
    for index, point in enumerate(grid):
        place = int(np.searchsorted(at, point))
        bad, good = (_with_one_more(mean, weight, place, label) for label in (0.0, 1.0))
        value[index] = good / (1.0 - bad + good)
    return Calibrator(method="venn_abers", at=grid, value=np.maximum.accumulate(value))


def _with_one_more(mean: Floats, weight: Floats, place: int, label: float) -> float:
    more, heavier = mean.copy(), weight.copy()
    heavier[place] += 1.0
    more[place] = (mean[place] * weight[place] + label) / heavier[place]
    return float(_pool(more, heavier)[place])
