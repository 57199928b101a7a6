"""Where engines tell their load, the one with least to do is asked, and none that has requests waiting."""

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.backends.load import Load
from router.backends.pool import Pool, PoolRules
from router.errors import BackendSaturated
from router.outcome import Outcome
from tests.unit.router.cascades import Log, Model, Scores, run, strategy


def pool_of(count: int, rules: PoolRules | None = None) -> Pool:
    return Pool.of(*(Model("m") for _ in range(count)), rules=rules)


def loaded(running: int, waiting: int = 0, kv_use: float | None = None, *, age_s: float = 0.0) -> Load:
    return Load(running=running, waiting=waiting, kv_use=kv_use, at=time.monotonic() - age_s)


async def names(pool: Pool, count: int) -> list[str]:
    return [(await pool.turn(timeout_s=0.05)).deployment.name for _ in range(count)]


async def test_what_others_send_there_counts() -> None:
    pool = pool_of(2)
    pool.measured(pool.deployments[0], loaded(5))
    pool.measured(pool.deployments[1], loaded(2))
    assert await names(pool, 4) == ["2", "2", "2", "1"]  # and what was sent since it was looked at


async def test_what_ended_since_the_look_counts_no_more() -> None:
    pool = pool_of(1, PoolRules(places=4, most_waiting=1))
    [one] = pool.deployments
    before = await pool.turn(timeout_s=0.05)
    pool.measured(one, loaded(3))  # of which one is ours
    assert one.busy == 3
    sent = [await pool.turn(timeout_s=0.05) for _ in range(2)]
    assert (one.busy, pool.is_saturated) == (5, True)  # one more would be the second to wait there
    sent[0].end(alive=True)
    assert (one.busy, pool.is_saturated) == (4, False)
    before.end(alive=True)
    assert one.busy == 3


@pytest.mark.parametrize(("running", "places", "full"), [(4, 4, True), (3, 4, False), (9, None, False)])
async def test_an_engine_whose_places_are_taken_gets_nothing(running: int, places: int | None, full: bool) -> None:
    pool = pool_of(1, PoolRules(places=places))
    pool.measured(pool.deployments[0], loaded(running))
    assert pool.is_saturated is full


@pytest.mark.parametrize(("waits", "kv_use"), [(1, None), (0, 0.95)])
async def test_an_engine_that_is_full_gets_nothing(waits: int, kv_use: float | None) -> None:
    pool, load = pool_of(2), loaded(9, waits, kv_use)
    pool.measured(pool.deployments[0], load)
    assert await names(pool, 3) == ["2", "2", "2"]
    pool.measured(pool.deployments[1], load)
    assert [pool.is_saturated, pool_of(2).is_saturated] == [True, False]
    with pytest.raises(BackendSaturated):
        await names(pool, 1)


async def test_an_old_look_says_nothing() -> None:
    pool = pool_of(1)
    pool.measured(pool.deployments[0], loaded(9, waiting=9, age_s=60))
    assert not pool.is_saturated
    assert await names(pool, 1) == ["1"]
    pool.measured(pool.deployments[0], None)
    assert await names(pool, 1) == ["1"]


LOADS = st.tuples(st.integers(0, 9), st.integers(0, 3), st.floats(0, 1))


@given(LOADS, LOADS, st.one_of(st.none(), st.integers(1, 9)), st.floats(1, 100))
def test_more_load_never_makes_a_pool_cheaper(
    one: tuple[int, int, float], other: tuple[int, int, float], places: int | None, most: float
) -> None:
    less, more = (tuple(map(pick, one, other)) for pick in (min, max))

    def congestion(load: tuple[int, int, float]) -> float:
        pool = pool_of(1, PoolRules(places=places, most_congestion=most))
        pool.measured(pool.deployments[0], loaded(*load))
        return pool.congestion

    assert 1 <= congestion(less) <= congestion(more) <= most  # type: ignore[arg-type]


async def test_what_a_call_weighs_is_told_by_the_deployment_that_is_free_to_take_it() -> None:
    pool = pool_of(2, PoolRules(places=4, most_congestion=10))
    first, second = pool.deployments
    assert pool.congestion == 1  # nothing is known
    pool.measured(first, loaded(3))
    pool.measured(second, loaded(2))
    assert pool.congestion == 2
    assert await names(pool, 1) == ["2"]  # which is then as busy as the first
    assert pool.congestion == 4
    pool.measured(first, loaded(4, waiting=1))
    pool.measured(second, loaded(1, kv_use=0.9))
    assert pool.congestion == pytest.approx(10)
    pool.measured(second, loaded(4, age_s=60))
    assert pool.congestion == 1
    assert pool_of(1).congestion == 1


async def test_who_waited_goes_on_as_soon_as_there_is_less_to_do() -> None:
    pool = pool_of(1)
    pool.measured(pool.deployments[0], loaded(9, waiting=3))
    waiting = asyncio.create_task(pool.turn(timeout_s=20))
    await asyncio.sleep(0)
    assert pool.waiting == 1
    pool.measured(pool.deployments[0], loaded(9, waiting=0))
    assert (await waiting).deployment.name == "1"


async def ran(*, small_waits: int, large_waits: int) -> tuple[Outcome, Pool]:
    models = [Model("small"), Model("large")]
    pools = {model.model: Pool.of(model) for model in models}
    for name, waits in (("small", small_waits), ("large", large_waits)):
        pools[name].measured(pools[name].deployments[0], loaded(1, waits))
    scores = Scores({"small": 0.9})
    done = await run(models, strategy(("small", 0.5), ("large", None)), scores, log=Log(), pools=pools)
    return done.outcome, pools["small"]


async def test_a_cascade_passes_by_a_tier_that_would_let_it_wait() -> None:
    outcome, small = await ran(small_waits=2, large_waits=0)
    assert [attempt.model for attempt in outcome.attempts] == ["large"]
    assert (outcome.stop_reason, small.skipped) == ("last_stage", 1)
    outcome, small = await ran(small_waits=0, large_waits=2)
    assert [attempt.model for attempt in outcome.attempts] == ["small"]
    assert (outcome.stop_reason, small.skipped) == ("accepted", 0)
