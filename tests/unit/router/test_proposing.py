"""Gathering proposals: who is asked, who is waited for, and that every call is closed exactly once."""

import asyncio
import time
from collections.abc import Sequence

import pytest

from router.backends.backend import Call
from router.backends.pool import Pool
from router.errors import BackendBroken, BackendTimeout, QuorumMissed
from router.mixture import Mixture
from router.outcome import Attempt
from router.proposing import Proposal, Proposing
from tests.unit.router.cascades import COUNTS, ONCE, QUERY, Log, Model

CALL = Call(request_id="dec_1", body={"messages": list(QUERY.messages)}, cache_salt="s", affinity="a")


def proposing(models: Sequence[Model], asked: Sequence[str], log: Log, **fields: object) -> Proposing:
    told: dict[str, object] = {"least": len(asked), "deadline_s": 30.0} | fields
    mixture = Mixture(name="panel", models=tuple(asked), aggregator="large", **told)  # type: ignore[arg-type]
    pools = {model.model: Pool.of(model, rules=ONCE) for model in models}
    return Proposing(mixture=mixture, pools=pools, log=log, place=1, ends=None)


def names(found: Sequence[Proposal]) -> list[str]:
    return [one.answer.model for one in found]


async def test_proposals_come_in_the_order_of_their_proposers_by_the_names_of_samples() -> None:
    models, log = [Model("small"), Model("medium")], Log()
    found, error = await proposing(models, ["medium", "small", "small"], log).gather(CALL, 1.0)
    assert error is None
    assert names(found) == ["medium", "small", "small#2"]
    assert {(opening.kind, opening.stage, opening.tier_of) for opening in log.opened} == {("proposal", 1, "panel")}
    assert {(call.cache_salt, call.affinity) for model in models for call in model.calls} == {("s", "a")}
    assert sorted(attempt.id for attempt in log.closed) == sorted(opening.attempt_id for opening in log.opened)


async def test_who_is_late_is_hung_up_on_and_closed_as_cancelled() -> None:
    slow, quick, log = Model("slow", hangs_after=0), Model("quick"), Log()
    began = time.monotonic()
    found, error = await proposing([slow, quick], ["slow", "quick"], log, deadline_s=0.05).gather(CALL, 1.0)
    assert time.monotonic() - began < 10
    assert error is None
    assert names(found) == ["quick"]
    assert sorted(log.states) == [("quick", "accepted"), ("slow", "cancelled")]
    assert slow.released == 1


async def test_a_quorum_that_is_missed_says_by_how_many() -> None:
    models = [Model("good"), Model("bad", error=BackendBroken("bad", "no"))]
    found, error = await proposing(models, ["good", "bad", "bad"], Log(), quorum=2).gather(CALL, 1.0)
    assert names(found) == ["good"]
    assert isinstance(error, QuorumMissed)
    assert "1 of 3 proposals came in time, and the mixture needs 2" in str(error)


@pytest.mark.parametrize("quorum", [1, 2])
async def test_what_the_log_refuses_with_is_the_reason_only_where_the_quorum_was_missed_for_it(quorum: int) -> None:
    refusal = ValueError("no money")
    log = Log(refuses={"dear": refusal})
    found, error = await proposing([Model("small"), Model("dear")], ["small", "dear"], log, quorum=quorum).gather(
        CALL, 1.0
    )
    assert names(found) == ["small"]
    assert error is (None if quorum == 1 else refusal)


async def test_what_was_paid_for_is_not_asked_again() -> None:
    small, log = Model("small"), Log()
    paid = Attempt(
        id="att_1",
        stage=0,
        model="small",
        state="rejected",
        reply=small.reply,
        usage=COUNTS,
        score=0.3,
        threshold=0.5,
        latency_s=0.1,
    )
    found, error = await proposing([small], ["small", "small"], log).gather(CALL, 1.0, [paid])
    assert error is None
    assert found[0].attempt is paid
    assert names(found) == ["small", "small#2"]
    assert len(small.calls) == 1


async def test_whoever_goes_away_leaves_no_call_open() -> None:
    slow, log = Model("slow", hangs_after=0), Log()
    gathering = asyncio.create_task(proposing([slow], ["slow", "slow"], log).gather(CALL, 1.0))
    await slow.reached.wait()
    while len(slow.calls) < 2:  # noqa: ASYNC110
        await asyncio.sleep(0)
    gathering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gathering
    assert log.states == [("slow", "cancelled")] * 2
    assert slow.released == len(slow.calls)


async def test_a_bug_in_a_backend_is_a_proposal_that_failed() -> None:
    log = Log()
    found, error = await proposing([Model("odd", error=KeyError("choices"))], ["odd"], log).gather(CALL, 1.0)
    assert (found, type(error)) == ([], QuorumMissed)
    assert log.states == [("odd", "failed")]


async def test_past_the_requests_deadline_nobody_is_asked() -> None:
    small, log = Model("small"), Log()
    late = proposing([small], ["small", "small"], log)
    late.ends = time.monotonic()
    found, error = await late.gather(CALL, 1.0)
    assert (found, type(error)) == ([], BackendTimeout)
    assert (small.calls, log.opened) == ([], [])
