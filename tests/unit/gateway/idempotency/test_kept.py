"""A kept completion comes back as it was, but for what held for its moment alone."""

from dataclasses import replace
from datetime import UTC, datetime

from gateway.exchange import Completion, Decision
from gateway.idempotency.kept import decode, encode
from gateway.ledger.entry import Spent
from router.outcome import Verdict
from scorer.answer import Usage

DECISION = Decision(
    id="dec_1",
    created=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    policy="p",
    strategy_id="st",
    cache="MISS",
    model="m",
    tier=2,
    score=0.25,
    threshold=0.5,
    stop_reason="last_stage",
    verdicts=(Verdict(verifier="v", kind="regex", verdict="pass", latency_s=0.5),),
    spent=Spent(nanousd=2**60, estimated=True),
    dropped=("seed",),
    rates={"x-ratelimit-limit-requests": "1"},
    clamped=("max_cost_usd=1",),
)
WHOLE = Completion(
    decision=DECISION,
    body={"choices": [{"message": {"content": "ß\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16")}}]},
    usage=Usage(prompt_tokens=1, completion_tokens=2, cached_prompt_tokens=1),
    live=True,
)


def test_there_and_back() -> None:
    kept = encode(WHOLE)
    assert kept is not None
    assert decode(kept) == replace(WHOLE, live=False, decision=replace(DECISION, rates={}, replayed=True))


def test_what_json_cannot_say_is_not_kept() -> None:
    assert encode(replace(WHOLE, body={"choices": "\ud83d"})) is None


def test_another_versions_format_is_not_understood() -> None:
    assert decode(b'{"format": 0}') is None
