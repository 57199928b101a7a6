"""Single flight switched off: nobody waits. What it promises otherwise is in the contract."""

import asyncio

from gateway.cache.flights import Flights, Lease


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


class Slow:
    """Leases whose answer does not come back in the client's time."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.taken, self.ended = list[str](), list[str]()

    async def take(self, _key: str, token: str) -> Lease:
        self.taken.append(token)
        self.asked.set()
        await asyncio.Event().wait()
        return "mine"

    def end(self, _key: str, token: str, *, over: bool) -> None:
        assert not over
        self.ended.append(token)

    async def aclose(self) -> None: ...


async def test_a_lease_that_its_client_did_not_wait_for_is_given_back() -> None:
    leases = Slow()
    flights = Flights(leases)

    async def ride() -> None:
        async with flights.boarded("k", 30):
            pass

    riding = asyncio.create_task(ride())
    await leases.asked.wait()
    riding.cancel()
    await asyncio.wait({riding})
    assert leases.ended == leases.taken
    assert not flights._leading
