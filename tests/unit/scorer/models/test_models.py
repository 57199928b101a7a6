"""Both models: they learn, survive one class and missing values, and come back from data giving the same numbers."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from scorer.errors import ArtifactError
from scorer.member import KINDS
from scorer.models.boosted import BoostedModel
from scorer.models.linear import LinearModel, ManyLinear
from scorer.models.linear import fit as fit_linear
from scorer.models.scorer import logit, sigmoid, smoothed_mean, weighted_classes

KIND_NAMES = sorted(KINDS)


def data(n: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    X = random.normal(size=(n, 6)).astype(np.float32)
    y = (random.random(n) < sigmoid((2.0 * X[:, 0] - X[:, 1]).astype(np.float64))).astype(float)
    X[random.random(X.shape) < 0.05] = np.nan
    X[:, 5] = np.nan
    return X, y


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_a_signal_is_learned(kind: str) -> None:
    fit, _ = KINDS[kind]
    X, y = data()
    z = fit(X, y, seed=0).logits(data(seed=1)[0])
    assert np.corrcoef(z, data(seed=1)[1])[0, 1] > 0.4


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_it_comes_back_from_data_with_the_same_numbers(kind: str) -> None:
    fit, load = KINDS[kind]
    X, y = data()
    model = fit(X, y, seed=0)
    again = load(model.dump())
    assert np.array_equal(again.logits(X), model.logits(X))
    assert again.dump() == model.dump()


@pytest.mark.parametrize("kind", KIND_NAMES)
@pytest.mark.parametrize("label", [0.0, 1.0, 0.4])
def test_one_class_gives_a_constant(kind: str, label: float) -> None:
    fit, load = KINDS[kind]
    X, y = data(30)
    z = load(fit(X, np.full(len(y), label), seed=0).dump()).logits(X)
    assert np.ptp(z) == 0
    assert sigmoid(z)[0] == pytest.approx((30 * label + 1) / 32)


@pytest.mark.parametrize("kind", KIND_NAMES)
@pytest.mark.parametrize("junk", [b"", b"tree\nnonsense", b"PK\x03\x04", b"\x80\x04\x95pickle"])
def test_junk_is_refused(kind: str, junk: bytes) -> None:
    with pytest.raises(ArtifactError):
        KINDS[kind][1](junk)


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_the_same_seed_gives_the_same_model(kind: str) -> None:
    X, y = data()
    assert KINDS[kind][0](X, y, seed=3).dump() == KINDS[kind][0](X, y, seed=3).dump()


def test_one_row_gives_the_number_that_many_give() -> None:
    X, y = data()
    model = KINDS["boosted"][0](X, y, seed=0)
    assert isinstance(model, BoostedModel)
    assert [model.logit_of(row) for row in X[:20]] == model.logits(X[:20]).tolist()


def test_many_linear_models_say_what_each_says() -> None:
    X, y = data()
    models = [fit_linear(X, y, seed=0), fit_linear(X[:100], y[:100], seed=0)]
    together = ManyLinear(models).logits(np.stack([X[:3], X[3:6]]))
    assert together[0] == pytest.approx(models[0].logits(X[:3]))
    assert together[1] == pytest.approx(models[1].logits(X[3:6]))


def test_numpy_serves_what_scikit_learn_fitted() -> None:
    random = np.random.default_rng(0)
    X = random.normal(size=(500, 3)).astype(np.float32)
    y = (random.random(500) < sigmoid(X[:, 0].astype(np.float64))).astype(float)
    model = fit_linear(X, y, seed=0)
    rows, classes, weights = weighted_classes(y)
    Z = (X - model.mean) / model.scale
    other = LogisticRegression(C=0.03, max_iter=300, tol=1e-3).fit(Z[rows], classes, sample_weight=weights)
    assert model.logits(X) == pytest.approx(other.decision_function(Z), abs=1e-3)


def test_a_far_value_does_not_outvote_everything() -> None:
    X, y = data()
    model = fit_linear(X, y, seed=0)
    far = X[:1].copy()
    far[0, 0] = 1e30
    near = far.copy()
    near[0, 0] = 6 * model.scale[0] + model.mean[0]
    assert isinstance(model, LinearModel)
    assert model.logits(far) == pytest.approx(model.logits(near))


def test_logit_and_sigmoid_are_inverse_and_finite() -> None:
    p = np.array([0.0, 0.3, 1.0])
    assert np.isfinite(logit(p)).all()
    assert sigmoid(logit(p)) == pytest.approx(p, abs=1e-5)
    assert np.isfinite(sigmoid(np.array([-1e9, 1e9]))).all()
    assert smoothed_mean(np.ones(8)) == 0.9


def test_what_a_row_counts_is_what_its_copies_would() -> None:
    random = np.random.default_rng(4)
    X = random.normal(size=(40, 3)).astype(np.float32)
    y = (X[:, 0] + random.normal(size=40) > 0).astype(float)
    twice = fit_linear(X, y, seed=0, share=np.full(40, 2.0))
    copied = fit_linear(np.concatenate([X, X]), np.concatenate([y, y]), seed=0)
    assert twice.logits(X) == pytest.approx(copied.logits(X), abs=1e-2)
    assert not np.allclose(twice.logits(X), fit_linear(X, y, seed=0).logits(X), atol=2e-2)
