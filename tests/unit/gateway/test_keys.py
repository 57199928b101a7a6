"""Keys: secrets are shown once and kept as hashes, and a revoked key opens nothing."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from gateway.database import Database, DatabaseUnavailable
from gateway.keys import Caller, KeyStore, NoSuchKey
from gateway.tenancy.tables import virtual_keys
from tests.databases import rows_of


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_a_key_opens_for_its_tenant(database: Database) -> None:
    store = KeyStore(database)
    info, secret = await store.create("app", tenant_id="acme")
    assert await store.find(secret) == Caller(tenant_id="acme", key_id=info.key_id, name="app")


async def test_a_secret_is_long_random_and_nowhere_stored(database: Database) -> None:
    store = KeyStore(database)
    info, secret = await store.create("app")
    assert secret.startswith("sk-spw-")
    assert len(secret) == len("sk-spw-") + 43  # 32 bytes
    assert (await store.create("app"))[1] != secret
    stored = " ".join(str(value) for row in await rows_of(database, virtual_keys) for value in row.values())
    assert secret not in stored
    assert secret.removeprefix(info.display_prefix) not in stored
    assert secret.startswith(info.display_prefix)


@pytest.mark.parametrize(
    "secret", ["", "sk-spw-", "sk-spw-" + "A" * 43, "sk-other", "sk-spw-" + "x" * 10_000, "é\ud800"]
)
async def test_what_is_no_key_opens_nothing(database: Database, secret: str) -> None:
    store = KeyStore(database)
    await store.create("app")
    assert await store.find(secret) is None


async def test_a_revoked_key_stops_at_once_in_this_process(database: Database) -> None:
    store = KeyStore(database)
    info, secret = await store.create("app")
    assert await store.find(secret) is not None
    await store.revoke(info.key_id)
    assert await store.find(secret) is None


async def test_a_revoked_key_stops_within_the_stated_time_in_every_other_process(database: Database) -> None:
    clock = Clock()
    here, there = KeyStore(database), KeyStore(database, remember_s=3.0, clock=clock)
    info, secret = await here.create("app")
    assert await there.find(secret) is not None
    await here.revoke(info.key_id)
    clock.now = 2.9
    assert await there.find(secret) is not None
    clock.now = 3.0
    assert await there.find(secret) is None


async def test_a_look_up_under_way_does_not_outlive_a_revocation(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = KeyStore(database)
    info, secret = await store.create("app")
    look_up = store._look_up

    async def slow(digest: str) -> Caller | None:
        found = await look_up(digest)
        await store.revoke(info.key_id)  # while the answer is on its way
        return found

    monkeypatch.setattr(store, "_look_up", slow)
    assert await store.find(secret) is not None
    monkeypatch.undo()
    assert await store.find(secret) is None


async def test_only_a_live_key_can_be_revoked(database: Database) -> None:
    store = KeyStore(database)
    info, _ = await store.create("app")
    await store.revoke(info.key_id)
    for key_id in (info.key_id, "key_none"):
        with pytest.raises(NoSuchKey, match=key_id):
            await store.revoke(key_id)


async def test_keys_are_listed_oldest_first_with_the_revoked_ones(database: Database) -> None:
    store = KeyStore(database)
    first, _ = await store.create("first")
    second, _ = await store.create("second", tenant_id="acme")
    await store.revoke(first.key_id)
    listed = await store.list()
    assert [key.key_id for key in listed] == [first.key_id, second.key_id]
    assert [key.revoked is None for key in listed] == [False, True]
    assert [key.name for key in await store.list(tenant_id="acme")] == ["second"]


async def test_guesses_do_not_fill_the_memory(database: Database) -> None:
    store = KeyStore(database, remember_most=3)
    for guess in range(10):
        await store.find(f"sk-spw-{guess}")
    assert len(store._recent) == 3


async def test_while_the_database_is_away_known_keys_open_and_it_is_not_asked_again_at_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    store = KeyStore(database, remember_s=3.0, clock=clock)
    info, secret = await store.create("app")
    _, other = await store.create("other")
    assert await store.find(secret) is not None
    asked = list[float]()

    @asynccontextmanager
    async def away(within_s: float | None = None) -> AsyncGenerator[None]:
        asked.append(clock.now)
        if asked:
            raise DatabaseUnavailable("away")
        yield

    monkeypatch.setattr(database, "read", away)
    for clock.now in (3.0, 3.1, 5.9, 6.0):
        found = await store.find(secret)
        assert found is not None
        assert found.key_id == info.key_id
    assert asked == [3.0, 6.0]
    with pytest.raises(DatabaseUnavailable):
        await store.find(other)  # it was never seen to be good
    clock.now = 700.0
    with pytest.raises(DatabaseUnavailable):
        await store.find(secret)


async def test_a_silent_database_is_not_waited_for_longer_than_said(database: Database) -> None:
    with pytest.raises(DatabaseUnavailable):
        async with database.read(within_s=0.01):
            await asyncio.sleep(1)
