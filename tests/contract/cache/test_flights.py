"""What single flight promises, among the requests of one process and among processes with one Redis."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack

import pytest

from gateway.cache.flights import Flight, Flights
from gateway.cache.leases import RedisLeases
from tests.redis_server import a_link

PATIENT_S = 30.0


@pytest.fixture(params=["one process", "two processes"])
async def pair(request: pytest.FixtureRequest) -> AsyncGenerator[tuple[Flights, Flights]]:
    """Where the first request comes in, and where the others do."""
    async with AsyncExitStack() as stack:
        if request.param == "one process":
            both = Flights()
            yield both, both
            return
        link = await stack.enter_async_context(a_link())
        one, two = Flights(RedisLeases(link)), Flights(RedisLeases(link))
        yield one, two
        await one.aclose()
        await two.aclose()


class Rider:
    """A request that is let aboard in its own task, and ends when it is told to."""

    def __init__(self, flights: Flights, key: str = "k", patience_s: float = PATIENT_S) -> None:
        self.aboard: asyncio.Future[Flight] = asyncio.get_running_loop().create_future()
        self.end = asyncio.Event()
        self.task = asyncio.create_task(self._ride(flights, key, patience_s))

    async def _ride(self, flights: Flights, key: str, patience_s: float) -> None:
        async with flights.boarded(key, patience_s) as flight:
            self.aboard.set_result(flight)
            await self.end.wait()

    async def ended(self) -> None:
        self.end.set()
        await self.task


async def test_the_first_one_leads_and_the_others_look_when_it_is_over(pair: tuple[Flights, Flights]) -> None:
    one, two = pair
    first = Rider(one)
    assert not (await first.aboard).others
    rest = [Rider(two) for _ in range(5)]
    await asyncio.sleep(0.1)  # time that they would have had to go ahead
    assert not any(rider.aboard.done() for rider in rest)
    (await first.aboard).over()
    for rider in rest:
        flight = await rider.aboard
        assert flight.others
        assert flight.waited_s > 0
        await rider.ended()
    await first.ended()


async def test_another_question_waits_for_nobody(pair: tuple[Flights, Flights]) -> None:
    one, two = pair
    first, other = Rider(one, "a"), Rider(two, "b")
    assert not (await other.aboard).others
    assert not (await first.aboard).others
    await asyncio.gather(first.ended(), other.ended())


async def test_after_a_leader_that_gave_up_one_leads_and_the_rest_wait_for_that_one(
    pair: tuple[Flights, Flights],
) -> None:
    one, two = pair
    first = Rider(one)
    await first.aboard
    rest = [Rider(two) for _ in range(4)]
    await asyncio.sleep(0.05)
    first.task.cancel()  # its client went
    done, waiting = await asyncio.wait({rider.aboard for rider in rest}, return_when=asyncio.FIRST_COMPLETED)
    assert (len(done), len(waiting)) == (1, 3)
    leader = next(rider for rider in rest if rider.aboard in done)
    await leader.ended()
    for rider in rest:
        await rider.aboard
        await rider.ended()


async def test_a_leader_that_fails_sets_all_free(pair: tuple[Flights, Flights]) -> None:
    one, two = pair
    began, fail = asyncio.Event(), asyncio.Event()

    async def failing() -> None:
        async with one.boarded("k", PATIENT_S):
            began.set()
            await fail.wait()
            raise KeyError("no answer")

    first = asyncio.create_task(failing())
    await began.wait()
    rest = [Rider(two) for _ in range(3)]
    await asyncio.sleep(0.05)
    fail.set()
    with pytest.raises(KeyError):
        await first
    assert all([(await rider.aboard).others for rider in rest])
    await asyncio.gather(*(rider.ended() for rider in rest))


async def test_nobody_waits_beyond_his_patience(pair: tuple[Flights, Flights]) -> None:
    one, two = pair
    first = Rider(one)
    await first.aboard
    second = Rider(two, patience_s=0.1)
    assert (await second.aboard).others
    assert not first.task.done()
    await asyncio.gather(first.ended(), second.ended())


async def test_a_follower_that_goes_leaves_the_others_waiting(pair: tuple[Flights, Flights]) -> None:
    one, two = pair
    first = Rider(one)
    await first.aboard
    going, staying = Rider(two), Rider(two)
    await asyncio.sleep(0.05)
    going.task.cancel()
    await asyncio.wait({going.task})
    await asyncio.sleep(0.05)
    assert not staying.aboard.done()
    (await first.aboard).over()
    assert (await staying.aboard).others
    await asyncio.gather(first.ended(), staying.ended())
