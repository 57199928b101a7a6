"""Single flight switched off: nobody waits. What it promises otherwise is in the contract."""

import asyncio

from gateway.cache.flights import Flights


async def test_where_nobody_is_to_wait_all_go_at_once() -> None:
    flights = Flights(wait_s=0)
    async with asyncio.timeout(1), flights.boarded("k", 30) as one, flights.boarded("k", 30) as two:
        assert not one.others
        assert not two.others


async def test_what_has_ended_is_forgotten() -> None:
    flights = Flights()
    async with flights.boarded("k", 30):
        pass
    assert not flights._leading
