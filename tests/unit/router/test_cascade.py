"""Cascades: who answers, and that every call is opened before it is made and closed exactly once."""

import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.backends.backend import Call, Chunk
from router.backends.pool import Pool
from router.cascade import Cascade
from router.errors import BackendBroken, BackendError, BackendTimeout, StrategyError
from router.outcome import Outcome
from router.strategy import Strategy, single
from scorer.answer import Usage
from scorer.errors import ScorerError, UnknownModel
from tests.unit.router.cascades import COUNTS, QUERY, Log, Model, Ran, Scores, failing, run, strategy

NAMES = ("a", "b", "c")
ABC = strategy(("a", 0.5), ("b", 0.5), ("c", None))


def three() -> list[Model]:
    return [Model(name) for name in NAMES]


async def test_a_good_answer_ends_it() -> None:
    models = three()
    ran = await run(models, ABC, Scores({"a": 0.5}))
    assert (ran.answered, ran.outcome.stop_reason) == ("a", "accepted")
    assert ran.log.states == [("a", "accepted")]
    (attempt,) = ran.outcome.attempts
    assert (attempt.score, attempt.threshold, attempt.usage, attempt.stage) == (0.5, 0.5, COUNTS, 0)
    assert [len(model.calls) for model in models] == [1, 0, 0]
    assert ran.outcome.error is None


async def test_a_poor_answer_spills_over() -> None:
    scores = Scores({"a": 0.49, "b": 0.9})
    ran = await run(three(), ABC, scores)
    assert (ran.answered, ran.outcome.stop_reason) == ("b", "accepted")
    assert ran.log.states == [("a", "rejected"), ("b", "accepted")]
    assert scores.asked == [("a", []), ("b", ["a"])]  # the later answer is judged beside those already paid for


async def test_the_last_stage_answers_whatever_its_score() -> None:
    scores = Scores({"a": 0.1, "b": 0.2})
    ran = await run(three(), ABC, scores)
    assert (ran.answered, ran.outcome.stop_reason) == ("c", "last_stage")
    assert ran.outcome.attempts[-1].score is None
    assert [model for model, _ in scores.asked] == ["a", "b"]


async def test_a_failed_call_is_an_answer_that_never_passes() -> None:
    ran = await run([failing("a"), Model("b"), Model("c")], ABC, Scores({"b": 0.7}))
    assert (ran.answered, ran.outcome.stop_reason) == ("b", "accepted")
    assert ran.log.states == [("a", "failed"), ("b", "accepted")]
    assert isinstance(ran.outcome.attempts[0].error, BackendError)
    assert ran.outcome.attempts[0].usage is None
    assert ran.outcome.error is None


async def test_where_the_last_stage_fails_the_best_answer_so_far_stands() -> None:
    ran = await run([Model("a"), Model("b"), failing("c")], ABC, Scores({"a": 0.4, "b": 0.3}))
    assert (ran.answered, ran.outcome.stop_reason) == ("a", "best_so_far")
    assert ran.log.states == [("a", "rejected"), ("b", "rejected"), ("c", "failed")]
    assert isinstance(ran.outcome.error, BackendError)


async def test_where_the_last_stage_falls_short_the_best_answer_stands() -> None:
    ran = await run(three(), strategy(("a", 0.5), ("b", 0.5), safe="c"), Scores({"a": 0.4, "b": 0.3}))
    assert (ran.answered, ran.outcome.stop_reason) == ("a", "best_so_far")


async def test_where_everyone_fails_nobody_answers() -> None:
    ran = await run([failing(name) for name in NAMES], ABC, Scores({}))
    assert (ran.answered, ran.outcome.stop_reason) == (None, "failed")
    assert ran.outcome.error is ran.outcome.attempts[-1].error


@pytest.mark.parametrize("trouble", [UnknownModel("a"), ScorerError("x"), ValueError("a bug"), float("nan"), 1.5, -0.1])
async def test_without_a_score_the_safe_model_answers(trouble: float | Exception) -> None:
    ran = await run(three(), ABC, Scores({"a": trouble}))
    assert (ran.answered, ran.outcome.stop_reason) == ("c", "scorer_abstained")
    assert ran.log.states == [("a", "rejected"), ("c", "accepted")]
    assert [attempt.score for attempt in ran.outcome.attempts] == [None, None]
    assert [attempt.stage for attempt in ran.outcome.attempts] == [0, 2]


async def test_a_safe_model_outside_the_strategy_comes_after_its_stages() -> None:
    ran = await run(three(), strategy(("a", 0.5), ("b", None), safe="c"), Scores({"a": ScorerError("x")}))
    assert (ran.answered, ran.outcome.attempts[-1].stage) == ("c", 2)


async def test_the_safe_models_own_answer_needs_no_score() -> None:
    ran = await run(three(), strategy(("a", 0.5), ("b", None), safe="a"), Scores({"a": ScorerError("x")}))
    assert (ran.answered, ran.outcome.stop_reason) == ("a", "scorer_abstained")
    assert ran.log.states == [("a", "accepted")]


async def test_a_safe_answer_already_paid_for_is_not_bought_again() -> None:
    plan = strategy(("a", 0.5), ("b", 0.5), ("c", None), safe="a")
    ran = await run(three(), plan, Scores({"a": 0.1, "b": ScorerError("x")}))
    assert (ran.answered, ran.outcome.stop_reason) == ("a", "scorer_abstained")
    assert ran.log.states == [("a", "rejected"), ("b", "rejected")]


async def test_where_the_safe_model_fails_a_scored_answer_stands() -> None:
    models = [Model("a"), Model("b"), failing("c")]
    ran = await run(models, ABC, Scores({"a": 0.2, "b": ScorerError("x")}))
    assert (ran.answered, ran.outcome.stop_reason) == ("a", "best_so_far")


async def test_an_answer_without_a_score_is_not_served_in_the_safe_models_place() -> None:
    ran = await run([Model("a"), Model("b"), failing("c")], ABC, Scores({"a": ScorerError("x")}))
    assert (ran.answered, ran.outcome.stop_reason) == (None, "failed")


async def test_without_a_scorer_no_cheap_tier_is_called() -> None:
    models = three()
    ran = await run(models, ABC, None)
    assert (ran.answered, ran.outcome.stop_reason) == ("c", "scorer_abstained")
    assert [len(model.calls) for model in models] == [0, 0, 1]


@pytest.mark.parametrize(("n", "model"), [(1, "a"), (None, "a"), (2, "c")])
async def test_several_choices_are_no_one_answer_to_score(n: int | None, model: str) -> None:
    ran = await run(three(), ABC, Scores({"a": 0.9}), n=n)
    assert ran.answered == model


async def test_one_model_alone_needs_no_scorer() -> None:
    ran = await run(three(), single("b"), None, n=3)
    assert (ran.answered, ran.outcome.stop_reason, ran.outcome.strategy_id) == ("b", "last_stage", "single:b")


async def test_a_model_without_a_backend_is_named_before_anyone_is_called() -> None:
    models = [Model("a")]
    ran = await run(models, ABC, Scores({"a": 0.1}))
    assert isinstance(ran.outcome.error, StrategyError)
    assert "b, c" in str(ran.outcome.error)
    assert (ran.log.opened, models[0].calls) == ([], [])


async def test_a_bug_in_a_backend_is_a_failed_call() -> None:
    ran = await run([Model("a", error=KeyError("oops")), Model("b"), Model("c")], ABC, Scores({"b": 0.9}))
    assert ran.answered == "b"
    assert isinstance(ran.outcome.attempts[0].error, BackendBroken)


async def test_a_refusal_of_the_log_ends_it_with_the_best_so_far() -> None:
    refusal = PermissionError("over budget")
    models = three()
    ran = await run(models, ABC, Scores({"a": 0.4}), log=Log(refuses={"b": refusal}))
    assert (ran.answered, ran.outcome.stop_reason, ran.outcome.error) == ("a", "best_so_far", refusal)
    assert ran.log.states == [("a", "rejected")]
    assert [len(model.calls) for model in models] == [1, 0, 0]


async def test_a_refusal_at_the_start_is_told() -> None:
    refusal = PermissionError("over budget")
    ran = await run(three(), ABC, Scores({}), log=Log(refuses={"a": refusal}))
    assert (ran.answered, ran.outcome.stop_reason, ran.outcome.error) == (None, "failed", refusal)
    assert ran.outcome.attempts == ()


async def test_the_deadline_is_one_for_all_stages() -> None:
    models = three()
    ran = await run(models, ABC, Scores({"a": 0.1, "b": 0.9}), timeout_s=30.0)
    first, second = (model.calls[0].timeout_s for model in models[:2])
    assert first is not None
    assert second is not None
    assert 0 < second < first <= 30.0
    assert ran.answered == "b"


async def test_past_the_deadline_nobody_is_called() -> None:
    ran = await run(three(), ABC, Scores({}), timeout_s=0.0)
    assert ran.answered is None
    assert isinstance(ran.outcome.error, BackendTimeout)
    assert ran.log.opened == []


# Live streams


async def test_a_last_stage_streams_live() -> None:
    ran = await run(three(), ABC, Scores({"a": 0.1, "b": 0.1}), live=True)
    assert [chunk.body["choices"][0]["delta"]["content"] for chunk in ran.chunks if chunk.body] == ["", "c", "c"]
    assert ran.chunks[-1].reply is not None
    assert (ran.answered, ran.outcome.stop_reason) == ("c", "last_stage")
    assert ran.outcome.attempts[-1].first_token_s is not None


async def test_a_stage_that_is_judged_never_streams() -> None:
    ran = await run(three(), ABC, Scores({"a": 0.9}), live=True)
    assert (ran.chunks, ran.answered) == ([], "a")


async def test_a_stream_that_dies_at_the_first_word_is_replaced() -> None:
    models = [Model("a"), Model("b"), Model("c", error=BackendBroken("c", "died"), words=0)]
    ran = await run(models, ABC, Scores({"a": 0.1, "b": 0.2}), live=True)
    assert (ran.chunks, ran.answered, ran.outcome.stop_reason) == ([], "b", "best_so_far")


async def test_a_stream_that_dies_later_is_not() -> None:
    models = [Model("a"), Model("b", error=BackendBroken("b", "died"), words=1, told_usage=COUNTS), Model("c")]
    ran = await run(models, strategy(("a", 0.5), ("b", None), ("c", None)), Scores({"a": 0.1}), live=True)
    assert [chunk.body["choices"][0]["delta"]["content"] for chunk in ran.chunks if chunk.body] == ["", "b"]
    assert (ran.answered, ran.outcome.stop_reason) == (None, "failed")
    assert ran.log.states == [("a", "rejected"), ("b", "failed")]
    assert ran.outcome.attempts[-1].usage == COUNTS
    assert isinstance(ran.outcome.error, BackendBroken)


# Clients that go


async def cancelled(models: list[Model], log: Log, at: asyncio.Event, *, live: bool) -> None:
    task = asyncio.create_task(run(models, ABC, Scores({"a": 0.1, "b": 0.1}), log=log, live=live))
    await at.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    ("place", "live", "after"), [(0, False, 0), (1, True, 0), (2, False, 0), (2, True, 0), (2, True, 1)]
)
async def test_a_cancelled_call_is_closed_as_cancelled(place: int, live: bool, after: int) -> None:
    models, log = three(), Log()
    models[place] = Model(NAMES[place], hangs_after=after)
    await cancelled(models, log, models[place].reached, live=live)
    assert log.states == [*((name, "rejected") for name in NAMES[:place]), (NAMES[place], "cancelled")]
    assert [opening.attempt_id for opening in log.opened] == [attempt.id for attempt in log.closed]
    assert log.closed[-1].usage is None
    assert models[place].released == 1


async def test_a_call_that_was_cancelled_before_it_was_sent_costs_nothing() -> None:
    models, log = three(), Log(hangs=True)
    await cancelled(models, log, log.opening, live=False)
    assert log.states == [("a", "cancelled")]
    assert log.closed[0].usage == Usage(prompt_tokens=0, completion_tokens=0, source="counted")
    assert models[0].calls == []


async def test_what_is_known_of_a_cancelled_streams_usage_is_kept() -> None:
    models, log = three(), Log()
    models[2] = Model("c", hangs_after=1, told_usage=COUNTS)
    await cancelled(models, log, models[2].reached, live=True)
    assert log.closed[-1].usage == COUNTS


@pytest.mark.parametrize(("n", "state"), [(1, "cancelled"), (2, "cancelled"), (3, "cancelled"), (4, "accepted")])
async def test_a_generator_may_be_closed_after_any_chunk(n: int, state: str) -> None:
    model, log = Model("a"), Log()
    results = Cascade({"a": Pool.of(model)}).run(
        QUERY, Call(request_id="r", body={}), single("a"), None, log, live=True
    )
    for _ in range(n):
        assert isinstance(await anext(results), Chunk)
    await results.aclose()
    assert log.states == [("a", state)]
    assert model.released == 1


# Laws over all strategies and behaviours

behaviours = st.sampled_from(["fine", "fails", "fails late", "dies at once"])
scores = st.one_of(st.floats(0, 1), st.just(ScorerError("x")), st.just(ValueError("bug")))
plans = st.permutations(NAMES).flatmap(
    lambda order: st.builds(
        lambda size, thresholds, last, safe: strategy(
            *zip(order[: size - 1], thresholds, strict=False), (order[size - 1], last), safe=safe
        ),
        st.integers(1, 3),
        st.tuples(st.floats(0, 1), st.floats(0, 1)),
        st.one_of(st.none(), st.floats(0, 1)),
        st.sampled_from(NAMES),
    )
)


def behaving(name: str, behaviour: str) -> Model:
    if behaviour == "fine":
        return Model(name)
    words = {"fails": 0, "fails late": 2, "dies at once": 1}[behaviour]
    return Model(name, error=BackendBroken(name, behaviour), words=words)


@given(
    plans,
    st.fixed_dictionaries(dict.fromkeys(NAMES, behaviours)),
    st.fixed_dictionaries(dict.fromkeys(NAMES, scores)),
    st.sets(st.sampled_from(NAMES), max_size=1),
    st.booleans(),
)
async def test_the_books_balance(
    plan: Strategy, behaviour: dict[str, str], score: dict[str, float | Exception], refused: set[str], live: bool
) -> None:
    models = [behaving(name, behaviour[name]) for name in NAMES]
    log = Log(refuses={name: PermissionError(name) for name in refused})
    ran: Ran = await run(models, plan, Scores(score), log=log, live=live)
    outcome: Outcome = ran.outcome
    assert [opening.attempt_id for opening in log.opened] == [attempt.id for attempt in log.closed]
    assert list(outcome.attempts) == log.closed
    assert len({attempt.id for attempt in log.closed}) == len(log.closed)
    calls = {model.model: len(model.calls) for model in models}
    assert calls == {name: sum(attempt.model == name for attempt in log.closed) for name in NAMES}
    assert all(model.released == len(model.calls) for model in models)
    assert "cancelled" not in {attempt.state for attempt in log.closed}
    assert sum(attempt.state == "accepted" for attempt in log.closed) <= 1
    assert (outcome.answered is None) == (outcome.stop_reason == "failed")
    if outcome.answered is not None:
        assert outcome.answered in outcome.attempts
        assert outcome.answered.reply is not None
    said = {chunk.body["choices"][0]["delta"].get("content") for chunk in ran.chunks if chunk.body} - {"", None}
    assert len(said) <= 1  # bytes of two models never mix
    if said and outcome.answered is not None:
        assert said == {outcome.answered.model}
    for attempt in outcome.attempts:
        if attempt.threshold is not None and attempt.score is not None:
            assert (attempt.state == "accepted") == (attempt.score >= attempt.threshold)


@given(plans, st.fixed_dictionaries(dict.fromkeys(NAMES, st.floats(0, 1))))
async def test_a_stricter_stage_never_makes_fewer_calls(plan: Strategy, score: dict[str, float]) -> None:
    stages = plan.stages
    for place, stage in enumerate(stages):
        if stage.threshold is None:
            continue
        stricter = [(other.model, other.threshold) for other in stages]
        stricter[place] = (stage.model, min(1.0, stage.threshold + 0.25))
        before = await run(three(), plan, Scores({**score}))
        after = await run(three(), strategy(*stricter, safe=plan.safe_model), Scores({**score}))
        assert len(before.outcome.attempts) <= len(after.outcome.attempts)


async def test_runs_at_the_same_time_do_not_mix() -> None:
    models, logs = three(), [Log() for _ in range(20)]
    ends = itertools.cycle([{"a": 0.9}, {"a": 0.1, "b": 0.9}, {"a": 0.1, "b": 0.1}])
    runs = [run(models, ABC, Scores(dict(next(ends))), log=log) for log in logs]
    answers = [ran.answered for ran in await asyncio.gather(*runs)]
    assert answers == [("a", "b", "c")[n % 3] for n in range(20)]
    assert [len(log.closed) for log in logs] == [n % 3 + 1 for n in range(20)]
