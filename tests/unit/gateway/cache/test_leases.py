"""Leases in Redis: held by being renewed, gone with their holder, and no odd value stops anybody."""

import asyncio
import contextlib

import pytest
from redis.asyncio import Redis

from gateway.cache.flights import Flights
from gateway.cache.leases import RedisLeases
from gateway.redis_link import RedisLink
from tests.redis_server import REDIS

LEASE_S = 0.3


async def test_a_holder_that_lives_holds_and_one_that_died_does_not(link: RedisLink) -> None:
    holder, other = RedisLeases(link, lease_s=LEASE_S), RedisLeases(link, lease_s=LEASE_S)
    assert await holder.take("k", "mine") == "mine"
    await asyncio.sleep(LEASE_S * 2)  # renewed meanwhile
    assert await other.take("k", "another") == "theirs"
    assert holder._renewing is not None
    holder._renewing.cancel()  # as a process that is killed renews nothing
    while await other.take("k", "another") != "mine":  # noqa: ASYNC110 - time itself is awaited
        await asyncio.sleep(0.02)
    holder.end("k", "mine", over=True)  # one that was only thought dead ends nobody else's
    await asyncio.wait(holder._ending)
    assert await holder.take("k", "a third") == "theirs"
    await other.aclose()


async def test_its_end_stands_there_for_a_moment(link: RedisLink) -> None:
    leases = RedisLeases(link, over_s=0.2)
    await leases.take("k", "a")
    leases.end("k", "a", over=True)
    await asyncio.wait(leases._ending)
    assert await leases.take("k", "b") == "over"
    while await leases.take("k", "b") != "mine":  # noqa: ASYNC110 - time itself is awaited
        await asyncio.sleep(0.02)
    leases.end("k", "b", over=False)
    await asyncio.wait(leases._ending)
    assert await leases.take("k", "c") == "mine"
    await leases.aclose()


@pytest.mark.parametrize("value", [b"", b"\x00\xff", b"x" * 1_000_000, b"over and out"])
async def test_an_odd_value_delays_a_request_by_its_patience_at_most(link: RedisLink, value: bytes) -> None:
    async with Redis.from_url(REDIS) as redis:
        await redis.set(link.name("flight", "k"), value)
    flights = Flights(RedisLeases(link))
    async with flights.boarded("k", 0.1) as flight:
        assert flight.others
    await flights.aclose()


async def test_a_value_of_another_type_stops_nobody(link: RedisLink) -> None:
    async with Redis.from_url(REDIS) as redis:
        await redis.lpush(link.name("flight", "k"), "x")
    flights = Flights(RedisLeases(link))
    async with asyncio.timeout(5), flights.boarded("k", 30) as flight:
        assert not flight.others
    await flights.aclose()


async def test_without_redis_nobody_waits_for_another_process() -> None:
    link = RedisLink("redis://127.0.0.1:1/0", timeout_s=0.5)
    flights = Flights(RedisLeases(link))
    async with asyncio.timeout(5), flights.boarded("k", 30) as flight:
        assert not flight.others
    await flights.aclose()
    with contextlib.suppress(Exception):
        await link.aclose()


async def test_who_waits_as_redis_goes_away_goes_on_by_himself(link: RedisLink) -> None:
    leading, following = Flights(RedisLeases(link)), RedisLink(REDIS, timeout_s=5.0, prefix=link._prefix)
    waiting = Flights(RedisLeases(following))
    async with leading.boarded("k", 30):
        entered = asyncio.create_task(_aboard(waiting))
        await asyncio.sleep(0.1)
        assert not entered.done()
        await following._redis.aclose()
        following._redis = Redis.from_url("redis://127.0.0.1:1/0")
        async with asyncio.timeout(5):
            assert await entered
    await leading.aclose()
    await waiting.aclose()


async def _aboard(flights: Flights) -> bool:
    async with flights.boarded("k", 30) as flight:
        return flight.others
