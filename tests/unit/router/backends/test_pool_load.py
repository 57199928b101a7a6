"""Where engines tell their load, the one with least to do is asked, and none that has requests waiting."""

import asyncio
import time

import pytest

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
