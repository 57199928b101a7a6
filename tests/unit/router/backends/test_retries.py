"""Another try only where it cannot pay twice, after the wait that was asked for, and within a budget."""

import pytest

from router.backends.retries import Retries, RetryRules
from router.errors import (
    BackendBroken,
    BackendBusy,
    BackendError,
    BackendNonsense,
    BackendRefused,
    BackendTimeout,
    BackendUnauthorized,
    BackendUnavailable,
    BackendUnreachable,
)


def retries(random: float = 0.5, **rules: object) -> Retries:
    return Retries(RetryRules(**rules), random_number=lambda: random)  # type: ignore[arg-type]  # the test's own words


@pytest.mark.parametrize(
    ("error", "wait_s"),
    [
        (BackendUnreachable("m", "x"), 0.3),
        (BackendBusy("m", "x"), 0.3),
        (BackendBusy("m", "x", retry_after_s=0.0), 0.0),
        (BackendBusy("m", "x", retry_after_s=4.0), 4.2),
    ],
)
def test_the_wait_is_what_was_asked_for_or_a_short_one(error: BackendError, wait_s: float) -> None:
    assert retries().wait_s(error, 0, None, elsewhere=False) == pytest.approx(wait_s)


@pytest.mark.parametrize(
    "error",
    [
        BackendTimeout("m", "x"),
        BackendBroken("m", "x"),
        BackendNonsense("m", "x"),
        BackendRefused("m", "x"),
        BackendUnauthorized("m", "x"),
        BackendUnavailable("m", "x", retry_after_s=0.0),
        BackendBusy("m", "x", retry_after_s=6.0),
    ],
)
def test_no_other_try_where_it_may_pay_twice_or_is_no_use(error: BackendError) -> None:
    assert retries().wait_s(error, 0, None, elsewhere=False) is None


def test_what_may_have_been_billed_is_tried_again_only_if_that_is_opted_in_to() -> None:
    error = BackendBroken("m", "x", status=500)
    assert retries(billed=True).wait_s(error, 0, None, elsewhere=False) is not None
    assert retries(billed=True).wait_s(BackendTimeout("m", "x"), 0, None, elsewhere=False) is None


def test_an_upstream_that_says_not_to_try_again_is_heard() -> None:
    error = BackendBusy("m", "x")
    error.retryable = False
    assert retries().wait_s(error, 0, None, elsewhere=True) is None


def test_there_are_only_so_many_and_each_waits_longer() -> None:
    some = retries(most=3)
    waits = [some.wait_s(BackendBusy("m", "x"), n, None, elsewhere=False) for n in range(4)]
    assert waits == [pytest.approx(0.3), pytest.approx(0.6), pytest.approx(1.2), None]


def test_elsewhere_nobody_has_to_be_waited_for() -> None:
    assert retries().wait_s(BackendBusy("m", "x", retry_after_s=600.0), 0, None, elsewhere=True) == 0.0


def test_no_wait_beyond_the_deadline() -> None:
    error = BackendBusy("m", "x", retry_after_s=2.0)
    assert retries().wait_s(error, 0, 1.0, elsewhere=False) is None
    assert retries().wait_s(error, 0, 3.0, elsewhere=False) is not None


def test_retries_are_at_most_a_share_of_the_calls() -> None:
    some = retries(budget=0.25, reserve=4)
    made = 0
    for _ in range(400):
        some.called()
        made += some.wait_s(BackendUnreachable("m", "x"), 0, None, elsewhere=True) is not None
    assert made == pytest.approx(100 + 4, abs=2)
