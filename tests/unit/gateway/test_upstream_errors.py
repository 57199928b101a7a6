"""What is told of a failure: its kind and remedy, never a secret, and no retry that would pay twice."""

from dataclasses import replace

import pytest

from gateway.errors import Unavailable, UpstreamFailed
from gateway.upstream_errors import refusal, without_secrets
from router.backends.backend import Reply
from router.errors import (
    BackendBroken,
    BackendBusy,
    BackendError,
    BackendMissing,
    BackendRefused,
    BackendSaturated,
    BackendTimeout,
    BackendUnavailable,
    BackendUnreachable,
    NotRecorded,
)
from router.outcome import Attempt, Outcome
from scorer.answer import Answer

REPLY = Reply(answer=Answer(model="m", text="x"), usage=None, body={}, latency_s=0.1)


def outcome(*errors: BackendError | None, error: Exception | None = None) -> Outcome:
    """Attempts that failed with these errors; None is one that was answered and rejected."""
    attempts = tuple(
        Attempt(
            id=f"att_{n}",
            stage=n,
            model="m",
            state="failed" if failure else "rejected",
            reply=None if failure else REPLY,
            usage=None,
            score=None,
            threshold=0.5,
            latency_s=0.1,
            error=failure,
        )
        for n, failure in enumerate(errors)
    )
    last = error if error is not None else next((failure for failure in reversed(errors) if failure), None)
    return Outcome(query_id="q", strategy_id="s", attempts=attempts, answered=None, stop_reason="failed", error=last)


@pytest.mark.parametrize(
    ("error", "status", "code", "again"),
    [
        (BackendUnreachable("m", "x"), 502, "upstream_unreachable", True),
        (BackendMissing("m", "x", status=404), 502, "upstream_missing", True),
        (BackendBusy("m", "x", status=429), 503, "upstream_busy", True),
        (BackendSaturated("m", "x"), 429, "too_many_at_once", True),
        (BackendUnavailable("m", "x", retry_after_s=0.2), 503, "upstream_unavailable", True),
        (BackendTimeout("m", "x"), 504, "upstream_timeout", False),
        (BackendBroken("m", "x", status=500), 502, "upstream_failed", False),
        (BackendRefused("m", "x", status=400), 400, "upstream_refused", True),
        (NotRecorded("m", "x"), 404, "not_recorded", True),
    ],
)
def test_each_error_has_its_status(error: BackendError, status: int, code: str, again: bool) -> None:
    told = refusal(outcome(error))
    assert (told.status, told.code, "x-should-retry" not in told.headers) == (status, code, again)


def test_an_answer_that_was_paid_for_on_the_way_forbids_a_retry() -> None:
    assert "x-should-retry" not in refusal(outcome(BackendBusy("m", "x"))).headers
    assert refusal(outcome(None, BackendBusy("m", "x"))).headers["x-should-retry"] == "false"
    assert refusal(outcome(BackendTimeout("m", "x"), BackendBusy("m", "x"))).headers["x-should-retry"] == "false"


def test_busy_says_when_to_come_back() -> None:
    assert refusal(outcome(BackendBusy("m", "x", retry_after_s=2.4))).headers["retry-after"] == "3"
    assert "retry-after" not in refusal(outcome(BackendBusy("m", "x"))).headers


def test_what_the_ledger_refuses_is_told_as_it_is() -> None:
    error = Unavailable("not now")
    assert refusal(outcome(error=error)) is error
    assert "x-should-retry" not in error.headers
    assert refusal(outcome(None, error=error)) is error
    assert error.headers["x-should-retry"] == "false"


def test_a_call_that_was_hung_up_on_may_be_billed_too() -> None:
    attempt = replace(outcome(None).attempts[0], state="cancelled", reply=None)
    ending = replace(outcome(BackendBusy("m", "x")), attempts=(attempt,))
    assert refusal(ending).headers["x-should-retry"] == "false"


@pytest.mark.parametrize("ending", [None, outcome(), outcome(error=RuntimeError("inside"))])
def test_what_nobody_foresaw_is_a_plain_failure(ending: Outcome | None) -> None:
    told = refusal(ending)
    assert isinstance(told, UpstreamFailed)
    assert (told.status, told.headers["x-should-retry"]) == (502, "false")
    assert "inside" not in told.message


@pytest.mark.parametrize(
    "secret", ["sk-proj-abc123456", "sk-ant-api03-abc-def", "gsk_abcdef1234", "AIzaSyA12345678", "Bearer abcdefghij"]
)
def test_credentials_are_not_repeated(secret: str) -> None:
    assert secret not in without_secrets(f"Incorrect API key provided: {secret}.")


def test_endless_words_are_cut() -> None:
    assert len(without_secrets("x" * 10_000)) < 1000
