"""Gradient-boosted trees by LightGBM, kept in its text format.

Knows LightGBM, which is loaded only when a boosted model is fitted or read. One thread, so that a result does not
depend on the machine and no call waits for a pool.
"""

import ctypes
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorer.errors import ArtifactError, ScorerError
from scorer.models.linear import LinearModel
from scorer.models.linear import fit as fit_constant
from scorer.models.linear import load as load_constant
from scorer.models.scorer import Features, Floats, is_one_class

_LEAST_PER_LEAF = 5
_ROWS_PER_LEAF = 300  # one leaf's least share of the rows
_FEW = 24  # rows that are quicker one by one than through LightGBM's Python layer
_TAG = b"tree\n"
_RAW_SCORE, _FLOAT32 = 1, 0  # of LightGBM's C interface


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How much trees may learn. rows_per_leaf : the least of large data; small data has proportionally fewer."""

    trees: int = 200
    leaves: int = 15
    rows_per_leaf: int = 100
    rate: float = 0.05


_USUAL = Shape()


class BoostedModel:
    """A LightGBM booster whose raw scores are log-odds."""

    def __init__(self, booster: Any) -> None:
        self.booster = booster
        self._one = _single_row(booster)

    def logit_of(self, x: NDArray[np.float32]) -> float:
        """Log-odds of one row (F,), the same number as ``logits`` gives, a tenth of its time."""
        return self._one(x)

    def logits(self, X: Features) -> Floats:
        """(n,) log-odds of (n, F) features; LightGBM sends missing ones down their own way."""
        if len(X) <= _FEW:
            return np.array([self._one(x) for x in X], dtype=np.float64)
        z = self.booster.predict(X, raw_score=True, num_threads=1)
        return np.asarray(z, dtype=np.float64)

    def parts(self, X: Features) -> Floats:
        """(n, F) what each feature adds, by TreeSHAP; together with the mean they are the log-odds."""
        shares = self.booster.predict(X, pred_contrib=True, num_threads=1)
        return np.asarray(shares, dtype=np.float64)[:, :-1]

    def dump(self) -> bytes:
        """LightGBM's text format."""
        text: str = self.booster.model_to_string()
        return text.encode("utf-8")


def fit(X: Features, y: Floats, *, seed: int, shape: Shape = _USUAL) -> "BoostedModel | LinearModel":
    """Fit to X (n, F) and labels y (n,) in [0, 1]. One class alone gives a constant."""
    if is_one_class(y):
        return fit_constant(X, y, seed=seed)
    import lightgbm  # noqa: PLC0415 - heavy, and needed only by artifacts that have trees

    parameters = {
        "objective": "cross_entropy",  # takes labels between 0 and 1
        "learning_rate": shape.rate,
        "num_leaves": shape.leaves,
        "min_data_in_leaf": int(np.clip(len(y) // _ROWS_PER_LEAF, _LEAST_PER_LEAF, shape.rows_per_leaf)),
        "feature_fraction": 0.3,
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "lambda_l2": 20.0,
        "max_bin": 63,
        "seed": seed,
        "deterministic": True,
        "force_col_wise": True,
        "num_threads": 1,
        "verbose": -1,
    }
    data = lightgbm.Dataset(X, y, params=parameters, free_raw_data=True)
    return BoostedModel(lightgbm.train(parameters, data, num_boost_round=shape.trees))


def _single_row(booster: Any) -> Callable[[NDArray[np.float32]], float]:
    """LightGBM's prediction of single rows, prepared once; the Python package wraps no such call."""
    from lightgbm.basic import _LIB  # noqa: PLC0415 - heavy, and needed only by artifacts that have trees

    n_features = booster.num_feature()
    prepared = ctypes.c_void_p()
    failed = _LIB.LGBM_BoosterPredictForMatSingleRowFastInit(
        booster._handle,  # noqa: SLF001 - the C interface takes the handle
        ctypes.c_int(_RAW_SCORE),
        ctypes.c_int(0),
        ctypes.c_int(-1),
        ctypes.c_int(_FLOAT32),
        ctypes.c_int32(n_features),
        b"num_threads=1",
        ctypes.byref(prepared),
    )
    if failed:
        return lambda x: float(booster.predict(x[None], raw_score=True, num_threads=1)[0])
    weakref.finalize(booster, _LIB.LGBM_FastConfigFree, prepared)
    predict = _LIB.LGBM_BoosterPredictForMatSingleRowFast

    def logit_of(x: NDArray[np.float32]) -> float:
        row = np.ascontiguousarray(x, dtype=np.float32)
        if row.shape != (n_features,):
            raise ScorerError(f"a boosted model takes {n_features} features, not {row.shape}")
        n_written, result = ctypes.c_int64(), ctypes.c_double()
        if predict(prepared, ctypes.c_void_p(row.ctypes.data), ctypes.byref(n_written), ctypes.byref(result)):
            raise ScorerError("LightGBM could not predict")
        return result.value

    return logit_of


def load(data: bytes) -> "BoostedModel | LinearModel":
    """Read what ``dump`` wrote. Raises ArtifactError."""
    if not data.startswith(_TAG):
        return load_constant(data)  # one class: a constant was kept
    import lightgbm  # noqa: PLC0415 - heavy, and needed only by artifacts that have trees

    try:
        return BoostedModel(lightgbm.Booster(model_str=data.decode("utf-8")))
    except (lightgbm.basic.LightGBMError, UnicodeDecodeError) as error:
        raise ArtifactError(f"a boosted model is not readable: {error}") from error
