"""Every try is an attempt of its own; the next one comes where it does no harm; a hedge has one winner."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.backends.backend import Backend, Call, Chunk, Reply
from router.backends.pool import Pool, PoolRules
from router.backends.retries import RetryRules
from router.calling import Asked, Asking, ask
from router.errors import BackendBroken, BackendBusy, BackendError, BackendRefused, BackendTimeout, BackendUnreachable
from router.outcome import Attempt
from router.strategy import single
from router.trial import Trial
from tests.unit.router.cascades import QUERY, Log, Model, Ran, failing, run, strategy
from tests.unit.router.cascades import cascade_of as cascade
from tests.wire import chunk_of

BUSY = BackendBusy("m", "x", retry_after_s=0.0)


@dataclass
class Scripted:
    """Does what it is told, call by call: an error to raise, or None for an answer."""

    script: list[Exception | None]
    model: str = "m"
    calls: list[Call] = field(default_factory=list)

    async def complete(self, call: Call) -> Reply:
        self.calls.append(call)
        step = self.script.pop(0)
        if step is not None:
            raise step
        return Model("m").reply

    async def stream(self, call: Call) -> AsyncGenerator[Chunk]:
        reply = await self.complete(call)
        yield Chunk(body=chunk_of({"content": "hi"}))
        yield Chunk(body=None, reply=reply, usage=reply.usage)

    async def aclose(self) -> None: ...


@dataclass
class Said:
    chunks: list[Chunk]
    attempts: list[Attempt]
    asked: Asked
    log: Log
    waits: list[float]

    @property
    def story(self) -> list[tuple[str, str, str | None]]:
        return [(attempt.cause, attempt.state, attempt.deployment) for attempt in self.attempts]


async def asking(
    *backends: Backend,
    rules: PoolRules | None = None,
    live: bool = False,
    log: Log | None = None,
    pool: Pool | None = None,
) -> Said:
    said = Said(chunks=[], attempts=[], asked=Asked(), log=log or Log(), waits=[])

    async def accept(trial: Trial) -> None:
        trial.state = "accepted"

    async def sleep(seconds: float) -> None:
        said.waits.append(seconds)

    def closed(attempt: Attempt) -> None:
        said.attempts.append(attempt)
        said.log.close(attempt)

    question = Asking(
        place=0, threshold=None, call=Call(request_id="r", body={}), live=live, ends=None,
        log=said.log, judge=accept, closed=closed, sleep=sleep,
    )  # fmt: skip
    async with aclosing(ask(pool or Pool.of(*backends, rules=rules), question, said.asked)) as chunks:
        async for chunk in chunks:
            said.chunks.append(chunk)
    return said


@pytest.mark.parametrize("live", [False, True])
async def test_a_retry_is_an_attempt_of_its_own(live: bool) -> None:
    said = await asking(Scripted([BackendUnreachable("m", "x"), None]), live=live)
    assert said.story == [("first", "failed", None), ("retry", "accepted", None)]
    assert [opening.cause for opening in said.log.opened] == ["first", "retry"]
    assert len({opening.attempt_id for opening in said.log.opened}) == 2
    assert said.asked.error is None
    assert 0.2 <= said.waits[0] <= 0.4


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("error", [BackendTimeout("m", "x"), BackendBroken("m", "x"), BackendRefused("m", "x")])
async def test_what_may_be_billed_or_is_no_use_is_not_tried_again(error: BackendError, live: bool) -> None:
    said = await asking(Scripted([error]), live=live)
    assert (said.story, said.asked.error) == ([("first", "failed", None)], error)


async def test_another_deployment_is_tried_at_once() -> None:
    said = await asking(Scripted([BackendBusy("m", "x", retry_after_s=600.0)]), Scripted([None]))
    assert said.story == [("first", "failed", "1"), ("retry", "accepted", "2")]
    assert said.waits == [0.0]


async def test_a_log_that_refuses_ends_it() -> None:
    refusal = PermissionError("no")
    said = await asking(Scripted([None]), log=Log(refuses={"m": refusal}))
    assert (said.attempts, said.asked.error, said.asked.refused) == ([], refusal, True)


async def test_nothing_is_opened_while_the_breaker_is_open() -> None:
    pool = Pool.of(Scripted([BackendBroken("m", "x")] * 5), rules=PoolRules(retries=RetryRules(most=0)))
    for _ in range(5):
        await asking(pool=pool)
    said = await asking(pool=pool)
    assert (said.log.opened, said.asked.refused) == ([], False)
    assert isinstance(said.asked.error, BackendError)


async def test_a_hedge_asks_a_second_time_and_the_first_answer_wins() -> None:
    slow, quick = Model("m", hangs_after=0), Model("m")
    for live in (False, True):
        said = await asking(slow, quick, rules=PoolRules(hedge_after_s=0.01), live=live)
        assert sorted(said.story) == [("first", "cancelled", "1"), ("hedge", "accepted", "2")]
        assert said.attempts[0].usage is None  # it may be billed: the ledger puts it down at an estimate
        assert [attempt.id for attempt in said.attempts] == [attempt.id for attempt in said.log.closed]
    assert slow.released == len(slow.calls)


async def test_no_hedge_where_the_first_answers_in_time() -> None:
    said = await asking(Model("m"), Model("m"), rules=PoolRules(hedge_after_s=30.0))
    assert said.story == [("first", "accepted", "1")]


async def test_a_hedge_whose_first_call_fails_waits_for_the_second() -> None:
    class FailsLate(Model):
        async def complete(self, call: Call) -> Reply:
            await second.reached.wait()
            raise BackendBroken("m", "late")

    class AnswersLast(Model):
        async def complete(self, call: Call) -> Reply:
            self.reached.set()
            for _ in range(20):
                await asyncio.sleep(0)
            return self.reply

    second = AnswersLast("m")
    said = await asking(FailsLate("m"), second, rules=PoolRules(hedge_after_s=0.001))
    assert sorted(said.story) == [("first", "failed", "1"), ("hedge", "accepted", "2")]


async def test_a_client_that_goes_ends_both_calls() -> None:
    models = [Model("m", hangs_after=0), Model("m", hangs_after=0)]
    log = Log()
    task = asyncio.create_task(asking(*models, rules=PoolRules(hedge_after_s=0.001), log=log))
    await models[1].reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [attempt.state for attempt in log.closed] == ["cancelled", "cancelled"]
    assert [model.released for model in models] == [1, 1]


steps = st.lists(st.sampled_from([None, BUSY, BackendUnreachable("m", "x"), BackendBroken("m", "x")]), min_size=1)


@given(st.lists(steps, min_size=1, max_size=3), st.integers(0, 3), st.booleans())
async def test_each_call_is_opened_before_and_closed_after_exactly_once(
    scripts: list[list[Exception | None]], most: int, live: bool
) -> None:
    backends = [Scripted([*script, *([None] * 5)]) for script in scripts]
    pool = Pool.of(*backends, rules=PoolRules(retries=RetryRules(most=most)))
    said = await asking(pool=pool, live=live)
    made = sum(len(backend.calls) for backend in backends)
    assert made == len(said.log.opened) == len(said.attempts) <= most + 1
    assert [opening.attempt_id for opening in said.log.opened] == [attempt.id for attempt in said.attempts]
    assert all(one.running == 0 for one in pool.deployments)
    assert (said.asked.error is None) == (said.attempts[-1].state == "accepted")
    assert all(attempt.state == "failed" for attempt in said.attempts[:-1])


# Fallbacks: models outside the strategy


async def falling(models: Sequence[Model], *fallbacks: str, live: bool = False, log: Log | None = None) -> Ran:
    return await run(models, single("m"), None, log=log, live=live, fallbacks=fallbacks)


@pytest.mark.parametrize("live", [False, True])
async def test_a_fallback_answers_where_the_last_stage_cannot(live: bool) -> None:
    ran = await falling([failing("m"), failing("f"), Model("g")], "f", "g", live=live)
    assert (ran.answered, ran.outcome.stop_reason, ran.outcome.error) == ("g", "fallback", None)
    assert [(attempt.model, attempt.cause) for attempt in ran.log.closed] == [
        ("m", "first"), ("f", "fallback"), ("g", "fallback"),
    ]  # fmt: skip


async def test_a_fallback_is_not_asked_what_was_refused_as_wrong_or_by_the_log() -> None:
    refused = Model("m", error=BackendRefused("m", "wrong", status=400))
    assert (await falling([refused, Model("f")], "f")).outcome.stop_reason == "failed"
    log = Log(refuses={"m": PermissionError("no")})
    assert (await falling([Model("m"), Model("f")], "f", log=log)).log.opened == []


async def test_a_fallback_never_continues_another_models_stream() -> None:
    ran = await falling([Model("m", error=BackendBroken("m", "x")), Model("f")], "f", live=True)
    assert (ran.answered, ran.outcome.stop_reason) == (None, "failed")
    assert [attempt.model for attempt in ran.log.closed] == ["m"]


async def test_a_missing_fallback_is_a_strategy_error() -> None:
    ran = [event async for event in cascade(Model("m")).run(
        QUERY, Call(request_id="r", body={}), strategy(("m", None)), None, Log(), live=False, fallbacks=("x",)
    )]  # fmt: skip
    assert "no backend for x" in str(getattr(ran[0], "error", ""))
