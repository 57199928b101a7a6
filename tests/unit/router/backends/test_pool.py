"""Who takes the next call, how many at once, who waits, and who is left alone."""

import asyncio
import contextlib
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.backends.pool import Pool, PoolRules, Turn
from router.errors import (
    BackendBroken,
    BackendBusy,
    BackendError,
    BackendRefused,
    BackendSaturated,
    BackendTimeout,
    BackendUnavailable,
)
from tests.unit.router.cascades import Model


def pool_of(count: int = 1, rules: PoolRules | None = None) -> Pool:
    return Pool.of(*(Model("m") for _ in range(count)), rules=rules)


async def turns(pool: Pool, count: int) -> list[Turn]:
    return [await pool.turn(timeout_s=None) for _ in range(count)]


async def queued(pool: Pool, count: int) -> None:
    for _ in range(10):
        await asyncio.sleep(0)  # each task takes a few steps of the loop, and no time
    assert pool.waiting == count


async def test_the_least_busy_takes_the_next_call() -> None:
    pool = pool_of(3)
    taken = await turns(pool, 7)
    assert sorted(Counter(turn.deployment.name for turn in taken).values()) == [2, 2, 3]
    for turn in taken:
        if turn.deployment.name == "2":
            turn.end(alive=True)
    assert [(await pool.turn(timeout_s=None)).deployment.name for _ in range(2)] == ["2", "2"]


async def test_one_to_be_avoided_is_taken_only_where_there_is_no_other() -> None:
    pool = pool_of(2)
    assert pool.has_other({"1"})
    assert not pool.has_other({"1", "2"})
    assert [(await pool.turn(timeout_s=None, avoid={"1"})).deployment.name for _ in range(3)] == ["2"] * 3
    assert (await pool_of(1).turn(timeout_s=None, avoid={"1"})).deployment.name == "1"


async def test_calls_of_one_affinity_go_to_one_deployment_while_it_can_take_them() -> None:
    pool = pool_of(4)
    homes = {affinity: (await pool.turn(timeout_s=None, affinity=affinity)).deployment for affinity in "abcdefgh"}
    assert len({home.name for home in homes.values()}) > 1
    for affinity, home in homes.items():
        assert (await pool.turn(timeout_s=None, affinity=affinity)).deployment is home
    gone = homes["a"]
    gone.rests_until = float("inf")
    for affinity, home in homes.items():  # only those move that have to
        now = (await pool.turn(timeout_s=None, affinity=affinity)).deployment
        assert (now is home) == (home is not gone)


async def test_no_more_calls_at_once_than_allowed_and_the_others_wait_their_turn() -> None:
    pool = pool_of(1, PoolRules(most_at_once=2))
    first, second = await turns(pool, 2)
    waiting = [asyncio.create_task(pool.turn(timeout_s=None)) for _ in range(3)]
    await queued(pool, 3)
    first.end(alive=True)
    assert (await waiting[0]).deployment.running == 2
    assert [task.done() for task in waiting] == [True, False, False]
    second.end(alive=True)
    await waiting[1]
    waiting[2].cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting[2]
    assert (pool.waiting, pool.deployments[0].running) == (0, 2)


async def test_who_finds_the_queue_full_or_waits_too_long_is_turned_away() -> None:
    pool = pool_of(1, PoolRules(most_at_once=1, queue=1, patience_s=0.05))
    [held] = await turns(pool, 1)
    waiting = asyncio.create_task(pool.turn(timeout_s=None))
    await queued(pool, 1)
    with pytest.raises(BackendSaturated, match="waiting already"):
        await pool.turn(timeout_s=None)
    with pytest.raises(BackendSaturated, match="no turn within"):
        await waiting
    held.end(alive=True)
    assert (await pool.turn(timeout_s=None)).deployment.running == 1


async def test_nobody_is_overtaken() -> None:
    pool = pool_of(1, PoolRules(most_at_once=1))
    [held] = await turns(pool, 1)
    waiting = asyncio.create_task(pool.turn(timeout_s=None))
    await queued(pool, 1)
    assert pool.turn_now() is None
    held.end(alive=True)
    late = asyncio.create_task(pool.turn(timeout_s=None))
    (await waiting).end(alive=True)
    await late


async def test_one_that_fails_too_often_is_left_alone() -> None:
    pool = pool_of(2)
    for _ in range(5):
        turn = await pool.turn(timeout_s=None, avoid={"2"})
        turn.end(BackendBroken("m", "x"))
    assert [(await pool.turn(timeout_s=None, avoid={"2"})).deployment.name for _ in range(3)] == ["2"] * 3
    assert pool.deployments[0].breaker.state == "open"


async def test_where_all_are_left_alone_nothing_is_called_and_it_is_said_for_how_long() -> None:
    pool = pool_of(1)
    for turn in await turns(pool, 5):
        turn.end(BackendBroken("m", "x"))
    with pytest.raises(BackendUnavailable) as raised:
        await pool.turn(timeout_s=None)
    assert raised.value.retry_after_s == pytest.approx(10.0, abs=1.0)


async def test_one_that_asks_to_be_left_alone_is() -> None:
    pool = pool_of(1)
    [turn] = await turns(pool, 1)
    turn.end(BackendBusy("m", "x", retry_after_s=30.0))
    assert pool.deployments[0].breaker.state == "closed"
    with pytest.raises(BackendUnavailable):
        await pool.turn(timeout_s=None)


@pytest.mark.parametrize(
    ("error", "timeout_s"), [(BackendRefused("m", "x"), None), (BackendTimeout("m", "x"), 0.5), (None, None)]
)
async def test_what_says_nothing_about_the_deployment_opens_no_breaker(
    error: BackendError | None, timeout_s: float | None
) -> None:
    pool = pool_of(1)
    for turn in await turns(pool, 10):
        turn.end(error, timeout_s=timeout_s)
    assert pool.deployments[0].breaker.state == "closed"


async def test_a_turn_ends_once() -> None:
    pool = pool_of(1)
    [turn] = await turns(pool, 1)
    turn.end(alive=True)
    turn.end(BackendBroken("m", "x"))
    assert pool.deployments[0].running == 0


@given(st.lists(st.sampled_from(["come", "leave", "give up", "fail"]), max_size=40), st.integers(1, 3))
async def test_turns_are_neither_lost_nor_doubled(steps: list[str], most: int) -> None:
    pool = pool_of(2, PoolRules(most_at_once=most, queue=3, patience_s=60.0))
    tasks: list[asyncio.Task[Turn]] = []
    held: list[Turn] = []
    for step in steps:
        if step == "come":
            tasks.append(asyncio.create_task(pool.turn(timeout_s=None)))
        elif step == "give up" and tasks:
            tasks.pop().cancel()
        elif step in ("leave", "fail") and held:
            held.pop(0).end(BackendRefused("m", "x") if step == "fail" else None, alive=step == "leave")
        for _ in range(3):
            await asyncio.sleep(0)
        for task in [task for task in tasks if task.done()]:
            tasks.remove(task)
            with contextlib.suppress(BackendSaturated):
                held.append(await task)
        assert sum(one.running for one in pool.deployments) == len(held)
        assert all(one.running <= most for one in pool.deployments)
        assert len(held) == min(2 * most, len(held) + len(tasks))  # nobody waits while there is room
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for turn in held:
        turn.end(alive=True)
    assert [one.running for one in pool.deployments] == [0, 0]
