"""A decision in sentences: every status and stop reason says something of its own."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import get_args

import pytest

from gateway.dashboard.decision_page import ending, entry_words, plan_steps, usage_words, verdict
from gateway.ledger.decisions import AttemptReport, DecisionReport
from gateway.ledger.entry import RequestStatus
from router.outcome import Entered, StopReason

WHEN = datetime(2026, 10, 21, tzinfo=UTC)
CALL = AttemptReport(
    attempt_id="att_1", kind="answer", cause="first", deployment=None,
    stage=0, model="small", opened=WHEN, reserved_nanousd=1, state="accepted", score=0.8,
    threshold=0.6, latency_s=1.0, first_token_s=None, finish_reason="stop", error_kind=None, error_status=None,
    prompt_tokens=1, cached_prompt_tokens=0, completion_tokens=1, reasoning_tokens=0, usage_source="provider",
    amount_nanousd=1, lines=(),
)  # fmt: skip
REPORT = DecisionReport(
    decision_id="dec_1", created=WHEN, tenant_id="default", team_id=None,
    key_id=None, policy="support", requested_model="auto",
    endpoint="/v1/chat/completions", streamed=False, strategy_id=None, scorer_version=None, reference_model=None,
    tags={}, closed=WHEN, status="answered", stop_reason="accepted", answered_attempt="att_1", answered_model="small",
    cache_status="MISS", saved_nanousd=None, reference_nanousd=None, reference_source=None, steps=(),
    attempts=(CALL, CALL),
)  # fmt: skip


def test_every_status_has_its_own_sentence() -> None:
    said = {verdict(replace(REPORT, status=status)) for status in (*get_args(RequestStatus), None)}
    assert len(said) == len(get_args(RequestStatus)) + 1


def test_every_reason_to_stop_with_an_answer_has_its_own_sentence_that_names_the_model() -> None:
    reasons = set(get_args(StopReason)) - {"failed", "cancelled"}
    said = {verdict(replace(REPORT, stop_reason=reason)) for reason in reasons}
    assert len(said) == len(reasons)
    assert all(words.startswith("small ") for words in said)


def test_what_was_not_a_cascade_is_not_told_as_one() -> None:
    assert "by its name" in verdict(replace(REPORT, policy=None, stop_reason="last_stage"))
    assert "only tier" in verdict(replace(REPORT, attempts=(CALL,), stop_reason="last_stage"))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (CALL, "The answer scored 0.80 and reached the threshold of 0.60."),
        (replace(CALL, state="rejected", score=0.2), "The answer scored 0.20, below the threshold of 0.60."),
        (replace(CALL, threshold=None), "The answer scored 0.80; no threshold stood in its way."),
        (replace(CALL, score=None, threshold=None), "The answer was taken without a score."),
        (replace(CALL, state="rejected", score=None), "The answer has no score."),
        (
            replace(CALL, state="failed", error_kind="BackendBusy", error_status=503),
            "The call failed: BackendBusy, HTTP status 503.",
        ),
        (replace(CALL, state="failed"), "The call failed: unknown error."),
        (replace(CALL, state="cancelled"), "The call was cut off before its answer was complete."),
        (replace(CALL, state=None), "The call is under way."),
    ],
)
def test_every_call_says_how_it_ended(call: AttemptReport, words: str) -> None:
    assert ending(call) == words


def test_counts_say_where_they_come_from() -> None:
    said = {usage_words(replace(CALL, usage_source=source)) for source in ("provider", "counted", "estimated", None)}
    assert len(said) == 4
    assert usage_words(replace(CALL, usage_source=None, state=None)) == ""


@pytest.mark.parametrize(
    ("entered", "words"),
    [
        (
            Entered(place=1, model="m", category="law", p=0.93, skipped=("small",)),
            "Entered at tier 2: category law, p=",
        ),
        (Entered(place=0, model="m", category="law", p=0.3, why="unsure"), "category law is likeliest, but p="),
        (Entered(place=0, model="m", category="law", p=0.9, why="asks_all"), "asks every tier"),
        (Entered(place=0, model="m", category=None, p=None, why="unlike"), "unlike those"),
        (Entered(place=0, model="m", category=None, p=None, why="failed"), "could not be told"),
    ],
)
def test_where_a_cascade_was_entered_is_told_in_a_sentence_and_is_no_step_of_a_plan(
    entered: Entered, words: str
) -> None:
    told = replace(REPORT, steps=(entered.to_document(), {"asked": []}))
    assert words in (entry_words(told) or "")
    assert plan_steps(told) == [{"asked": []}]
    assert entry_words(REPORT) is None
