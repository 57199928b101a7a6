"""A key is claimed by one alone, on both engines, and what became of the claim is told to everybody else."""

import asyncio
from pathlib import Path

import pytest

from gateway.idempotency.store import Claim, OnceStore
from gateway.idempotency.tables import once_requests
from tests.databases import ENGINES, Engine, fresh_database, rows_of


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


async def claimed(store: OnceStore, claim_id: str, key: str = "k", body: str = "b") -> Claim:
    return await store.claim(key, body, claim_id, lease_s=10, ttl_s=100)


@pytest.mark.parametrize("engine", ENGINES)
async def test_of_many_at_once_one_gets_the_key(engine: Engine, tmp_path: Path) -> None:
    async with fresh_database(engine, tmp_path) as database:
        store = OnceStore(database)
        claims = await asyncio.gather(*(claimed(store, str(n)) for n in range(12)))
        assert sum(claim.mine for claim in claims) == 1
        assert {claim.state for claim in claims} == {"running"}


@pytest.mark.parametrize("engine", ENGINES)
async def test_the_life_of_a_claim(engine: Engine, tmp_path: Path) -> None:
    clock = Clock()
    async with fresh_database(engine, tmp_path) as database:
        store = OnceStore(database, clock=clock)
        assert (await claimed(store, "one")).mine
        await store.end("k", "another", "kept", b"not mine to say", ttl_s=100)
        await store.release("k", "another")
        assert (await claimed(store, "two")) == Claim(mine=False, body_hash="b", state="running")
        await store.end("k", "one", "kept", b"{}", ttl_s=100)
        assert (await claimed(store, "two", body="c")) == Claim(mine=False, body_hash="b", state="kept", answer=b"{}")
        clock.now += 101
        assert (await claimed(store, "three")).mine
        clock.now += 11
        found = await store.look("k")
        assert found is not None
        assert found.state == "unknown"  # its lease is over
        await store.release("k", "three")
        assert await store.look("k") is None


@pytest.mark.parametrize("engine", ENGINES)
async def test_what_has_expired_is_taken_away(engine: Engine, tmp_path: Path) -> None:
    clock = Clock()
    async with fresh_database(engine, tmp_path) as database:
        store = OnceStore(database, clock=clock)
        for n in range(3):
            await claimed(store, str(n), key=str(n))
        await store.end("0", "0", "kept", b"{}", ttl_s=1000)
        assert await store.purge() == 0
        clock.now += 111
        assert await store.purge() == 2
        assert [row["key_hash"] for row in await rows_of(database, once_requests)] == ["0"]
