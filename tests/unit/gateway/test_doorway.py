"""The door: never more inside than the rules say, first come first served, and nobody's turn is lost."""

import asyncio
import random

import pytest

from gateway.doorway import DoorRules, Doorway
from gateway.errors import Overloaded

ONE = DoorRules(most=1, queue=1, patience_s=60)


async def test_the_next_in_the_queue_comes_in_when_one_leaves() -> None:
    door, order = Doorway(), list[int]()

    async def visit(n: int, leave: asyncio.Event) -> None:
        async with door.passed(DoorRules(most=1, queue=5, patience_s=60)):
            order.append(n)
            await leave.wait()

    leaves = [asyncio.Event() for _ in range(3)]
    visits = [asyncio.create_task(visit(n, leave)) for n, leave in enumerate(leaves)]
    await asyncio.sleep(0)
    assert (door.inside, door.waiting, order) == (1, 2, [0])
    for leave in leaves:
        leave.set()
    await asyncio.gather(*visits)
    assert (door.inside, door.waiting, order) == (0, 0, [0, 1, 2])


async def test_beyond_the_queue_they_are_told_when_to_come_back() -> None:
    door = Doorway()
    async with door.passed(ONE):
        waiting = asyncio.create_task(door.passed(ONE).__aenter__())
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="1 requests are served and 1 wait") as refused:
            async with door.passed(ONE):
                pass
        assert refused.value.status == 503
        assert 1 <= int(refused.value.headers["retry-after"]) <= 2
        assert 500 <= int(refused.value.headers["retry-after-ms"]) <= 2000
        waiting.cancel()
        await asyncio.wait({waiting})
        assert (door.waiting, door.refused) == (0, 1)


async def test_patience_ends() -> None:
    door = Doorway()
    rules = DoorRules(most=1, queue=1, patience_s=0.01)
    async with door.passed(rules):
        with pytest.raises(Overloaded, match=r"no turn within 0\.01 s"):
            async with door.passed(rules):
                pass
        assert (door.inside, door.waiting) == (1, 0)
    assert door.inside == 0


async def test_a_raised_limit_lets_those_in_who_wait() -> None:
    door = Doorway()
    async with door.passed(ONE):
        waiting = asyncio.create_task(door.passed(ONE).__aenter__())
        await asyncio.sleep(0)
        async with door.passed(DoorRules(most=3, queue=0, patience_s=1)):
            await waiting
            assert (door.inside, door.waiting) == (3, 0)


async def test_never_more_than_the_limit_and_none_forgotten_whoever_gives_up() -> None:
    door, rules, dice = Doorway(), DoorRules(most=7, queue=20, patience_s=0.02), random.Random(1)
    most = 0

    async def visit() -> None:
        nonlocal most
        try:
            async with asyncio.timeout(dice.uniform(0, 0.05)), door.passed(rules):
                most = max(most, door.inside)
                await asyncio.sleep(dice.uniform(0, 0.01))
        except (TimeoutError, Overloaded):
            pass

    await asyncio.gather(*(visit() for _ in range(2000)))
    assert (door.inside, door.waiting) == (0, 0)
    assert most == 7
    assert door.refused > 0
