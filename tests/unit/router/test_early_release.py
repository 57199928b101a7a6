"""A cascade that lets its first stage's stream go early: nothing is seen before, and nothing of another model after."""

from contextlib import aclosing
from dataclasses import replace

import pytest

from router.backends.backend import Call, Chunk
from router.backends.pool import Pool
from router.cascade import Cascade
from router.errors import BackendBroken
from router.outcome import Outcome
from scorer.answer import Query
from tests.unit.router.cascades import ONCE, QUERY, Log, Model, Scores, strategy

AB = replace(strategy(("a", 0.5), ("b", None)), release=0.7)


class Beginnings(Scores):
    """Beginnings of one character score as told."""

    prefix_lengths = (1,)
    begun = 0.9

    def score_prefix(self, query: Query, model: str, text: str) -> float:
        assert (model, text) == ("a", "a")
        return self.begun


async def ran(scores: Beginnings, *models: Model, live: bool = True, early: bool = True) -> tuple[str, Outcome, Log]:
    """What the client saw, the outcome, the log."""
    log, seen, outcome = Log(), "", None
    cascade = Cascade({model.model: Pool.of(model, rules=ONCE) for model in models})
    running = cascade.run(QUERY, Call(request_id="r", body={}), AB, scores, log, live=live, early=early)
    async with aclosing(running) as events:
        async for event in events:
            if isinstance(event, Chunk):
                seen += "".join(c["delta"].get("content") or "" for c in (event.body or {}).get("choices", ()))
            else:
                outcome = event
    assert outcome is not None
    return seen, outcome, log


async def test_a_good_beginning_is_let_go_with_everything_after_it() -> None:
    a, b = Model("a", words=3), Model("b")
    seen, outcome, log = await ran(Beginnings({"a": 0.1}), a, b)
    assert (seen, outcome.stop_reason) == ("aaa", "released")
    (attempt,) = outcome.attempts
    assert (attempt.state, attempt.score, attempt.threshold, attempt.released) == ("accepted", 0.9, 0.7, True)
    assert attempt.usage is not None
    assert (log.states, b.calls, a.released) == ([("a", "accepted")], [], 1)


async def test_a_poor_beginning_is_held_and_the_whole_is_judged() -> None:
    scores = Beginnings({"a": 0.6})
    scores.begun = 0.69
    seen, outcome, _ = await ran(scores, Model("a", words=3), Model("b"))
    assert (seen, outcome.stop_reason, outcome.attempts[0].score) == ("", "accepted", 0.6)


async def test_a_poor_whole_escalates_before_anything_was_seen() -> None:
    scores = Beginnings({"a": 0.4})
    scores.begun = 0.1
    seen, outcome, log = await ran(scores, Model("a", words=3), Model("b", words=2))
    assert (seen, outcome.stop_reason) == ("bb", "last_stage")
    assert log.states == [("a", "rejected"), ("b", "accepted")]


async def test_a_stream_that_dies_after_it_was_let_go_is_a_failure_and_no_other_model_continues() -> None:
    a, b = Model("a", words=3, error=BackendBroken("a", "gone")), Model("b")
    seen, outcome, log = await ran(Beginnings({"a": 0.9}), a, b)
    assert (seen, outcome.stop_reason, b.calls) == ("aaa", "failed", [])
    assert log.states == [("a", "failed")]


async def test_a_stream_that_dies_while_it_is_held_spills_over() -> None:
    scores = Beginnings({"a": 0.9})
    scores.begun = 0.1
    seen, outcome, log = await ran(scores, Model("a", error=BackendBroken("a", "gone")), Model("b", words=1))
    assert (seen, outcome.stop_reason) == ("b", "last_stage")
    assert log.states == [("a", "failed"), ("b", "accepted")]


@pytest.mark.parametrize(("live", "early"), [(False, True), (True, False)])
async def test_nothing_is_let_go_that_was_not_to_be(live: bool, early: bool) -> None:
    seen, outcome, _ = await ran(Beginnings({"a": 0.6}), Model("a"), Model("b"), live=live, early=early)
    assert (seen, outcome.stop_reason) == ("", "accepted")


async def test_a_client_that_goes_while_it_is_held_hangs_up() -> None:
    scores = Beginnings({"a": 0.6})
    scores.begun = 0.1
    a, log = Model("a", words=3, hangs_after=2), Log()
    cascade = Cascade({"a": Pool.of(a, rules=ONCE), "b": Pool.of(Model("b"), rules=ONCE)})
    running = cascade.run(QUERY, Call(request_id="r", body={}), AB, scores, log, live=True, early=True)
    import asyncio

    waiting = asyncio.ensure_future(anext(running))
    await a.reached.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (log.states, a.released) == ([("a", "cancelled")], 1)
