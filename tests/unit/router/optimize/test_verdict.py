"""Certificates hold as often as they promise, where the true risk is known; refusals say what is feasible."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.certificate import Kind, Promise, Test
from router.errors import NotCertified
from router.optimize.path import Trials, start, steps
from router.optimize.verdict import judge
from tests.pools import Draws, draw, played, population

CHAIN = (0, 1, 2)
DRAWS = 300


def drawn(
    kind: Kind, alpha: float, test: Test, *, fractional: bool = False, n: int = 1000, delta: float = 0.1
) -> Draws:
    selection, pool = population(400, 1, fractional=fractional), population(6000, 2, fractional=fractional)
    path = steps(selection, CHAIN, (0.75, 0.8))
    before, whole = played(kind, path, CHAIN, selection, pool)
    conformal = test == "conformal"
    promise = Promise(
        kind=kind,
        method="conformal" if conformal else "learn_then_test",
        alpha=alpha,
        delta=None if conformal else delta,
    )
    base = float(pool.cost_nanousd[:, 2].sum())
    return draw(whole, before, promise, test, base, n=n, draws=DRAWS, seed=7)


@pytest.mark.parametrize(
    ("kind", "alpha", "test", "fractional"),
    [
        ("wrong_accepted", 0.08, "binomial", False),
        ("wrong_accepted", 0.11, "binomial", False),
        ("wrong_accepted", 0.18, "betting", True),
        ("quality_drop", 0.03, "betting", False),
        ("quality_drop", 0.02, "betting", True),
    ],
)
def test_certified_strategies_exceed_alpha_as_seldom_as_promised(
    kind: Kind, alpha: float, test: Test, fractional: bool
) -> None:
    """Tolerance: three standard errors of the share of draws. Naive thresholds fail, so the case is a hard one."""
    found = drawn(kind, alpha, test, fractional=fractional)
    assert found.truth[-1] > alpha  # or no mistake could be made
    assert found.wrong(found.step) <= 0.1 + 3 * math.sqrt(0.09 / DRAWS)
    assert found.wrong(found.naive) > 0.2
    assert found.certified > 0.5
    assert 0.02 < found.kept(found.step) < found.kept(found.naive)


def test_a_conformal_promise_holds_on_average_and_only_so() -> None:
    found = drawn("wrong_accepted", 0.05, "conformal", n=200)
    risks = np.where(found.step >= 0, found.truth[found.step], 0)
    assert found.mean_risk() <= 0.05 + 3 * risks.std() / math.sqrt(DRAWS)
    assert found.wrong(found.step) > 0.2  # what it does not promise


def made(errors: list[list[int]], kind: Kind = "wrong_accepted") -> Trials:
    """One row per step: the losses of its accepted answers; -9 for a query whose answer was not accepted."""
    losses = np.array(errors, dtype=np.float64)
    accepted = losses > -9
    return Trials(
        kind=kind, losses=np.where(accepted, losses, 0), accepted=accepted, cost_nanousd=np.zeros_like(losses, np.int64)
    )


WRONG = Promise(kind="wrong_accepted", alpha=0.1, delta=0.1)


def test_the_most_lenient_step_of_an_unbroken_series_is_certified() -> None:
    fine, bad = [0] * 100, [1] * 30 + [0] * 70
    verdict = judge(made([fine] * 4), made([fine, fine, bad, fine]), WRONG, "binomial")
    assert (verdict.step, verdict.tested) == (1, 3)
    assert verdict.p_value is not None
    assert verdict.p_value <= 0.1
    assert verdict.bound <= 0.1
    assert verdict.observed == 0


def test_the_start_is_where_the_selection_says_and_nothing_before_it_is_tried() -> None:
    few, many, bad = [0] * 5 + [-9] * 95, [0] * 100, [1] * 30 + [0] * 70
    assert start(made([few, many, bad]), 0.1) == 1
    with pytest.raises(NotCertified, match=r"on 100 accepted answers the loss is 0\.3000 on average"):
        judge(made([few, many, bad]), made([many, bad, many]), WRONG, "binomial")


def test_too_few_accepted_answers_are_refused_with_the_smallest_feasible_alpha() -> None:
    few = made([[0] * 20 + [-9] * 80])
    message = (
        r"only 20 answers .* delta=0\.1 takes 22 \(ln delta / ln\(1 - alpha\)\)\. The smallest feasible .* 0\.1088"
    )
    with pytest.raises(NotCertified, match=message):
        judge(few, few, WRONG, "binomial")
    feasible = Promise(kind="wrong_accepted", alpha=0.1088, delta=0.1)
    assert judge(few, few, feasible, "binomial").step == 0
    with pytest.raises(NotCertified, match="accept none"):
        judge(few, made([[-9] * 30]), WRONG, "binomial")


@given(st.integers(0, 60), st.integers(30, 60), st.floats(0.01, 0.3), st.sampled_from(["binomial", "betting"]))
def test_the_alpha_that_a_refusal_names_is_feasible(errors: int, accepted: int, alpha: float, test: Test) -> None:
    row = ([1] * min(errors, accepted) + [0] * accepted)[:accepted] + [-9] * (60 - accepted)
    data = made([row])
    try:
        judge(data, data, Promise(kind="wrong_accepted", alpha=alpha, delta=0.1), test)
    except NotCertified as refusal:
        said = str(refusal)
    else:
        return
    named = re.search(r"smallest feasible alpha(?: here)? is ([\d.]+)", said)
    assert named
    least = float(named[1].rstrip("."))
    if least < 1 and (errors == 0 or "not borne out" in said):  # what is out of reach is named for no error at all
        assert judge(data, data, Promise(kind="wrong_accepted", alpha=least, delta=0.1), test).step == 0


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.4), st.floats(0.05, 0.4), st.floats(0.02, 0.4))
def test_the_certified_steps_grow_with_alpha_from_one_start(seed: int, one: float, two: float, delta: float) -> None:
    low, high = sorted([one, two])
    rng = np.random.default_rng(seed)
    sample = made((rng.random((6, 80)) < np.linspace(0, 0.3, 6)[:, None]).astype(int).tolist())
    fine = made([[0] * 80] * 6)  # so testing starts at the first step, whatever alpha is

    def reached(alpha: float) -> int:
        try:
            return judge(fine, sample, Promise(kind="wrong_accepted", alpha=alpha, delta=delta), "binomial").step
        except NotCertified:
            return -1

    assert reached(low) <= reached(high)


def test_a_conformal_refusal_tells_what_is_out_of_reach_from_what_is_not_borne_out() -> None:
    promise = Promise(kind="wrong_accepted", method="conformal", alpha=0.05, delta=None)
    with pytest.raises(NotCertified, match=r"out of reach of 9 queries\. The smallest feasible alpha is 0\.1"):
        judge(made([[0] * 9]), made([[0] * 9]), promise, "conformal")
    lossy = made([[1] * 10 + [0] * 89])
    with pytest.raises(NotCertified, match=r"not borne out\. The smallest feasible alpha is 0\.11"):
        judge(lossy, lossy, promise, "conformal")
    verdict = judge(made([[0] * 99]), made([[0] * 99]), promise, "conformal")
    assert (verdict.step, verdict.bound, verdict.p_value) == (0, 0.01, None)


def test_a_drop_in_quality_may_be_made_up_for() -> None:
    promise = Promise(kind="quality_drop", alpha=0.02, delta=0.1)
    better = made([[-1] * 30 + [0] * 70], "quality_drop")
    assert judge(better, better, promise, "betting").bound < 0
    worse = made([[1] * 30 + [0] * 70], "quality_drop")
    with pytest.raises(NotCertified, match=r"on 100 queries the drop in quality is 0\.3000 on average"):
        judge(worse, worse, promise, "betting")
