"""The way to Redis while there is none: nobody waits twice, nothing fails, and it is seen."""

import asyncio
import contextlib
import socket

import pytest
from redis.asyncio import Redis

from gateway.cache.leases import RedisLeases
from gateway.cache.redis import RedisCache
from gateway.rates.redis import RedisRates
from gateway.redis_link import LinkMetrics, RedisAway, RedisLink
from tests.redis_server import a_link
from tests.unit.gateway.cache.entries import an_entry


async def ping(redis: Redis) -> object:
    return await redis.ping()


def nobody() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"redis://127.0.0.1:{server.getsockname()[1]}/0"


async def test_a_redis_that_hangs_is_waited_for_once_a_second() -> None:
    now, asked = 0.0, 0
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and says nothing
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        link = RedisLink(url, timeout_s=0.02, clock=lambda: now)

        async def question(redis: Redis) -> object:
            nonlocal asked
            asked += 1
            return await ping(redis)

        for now in (0.0, 0.5, 0.99, 1.0, 1.5):  # noqa: B007 - the clock reads it
            with pytest.raises(RedisAway):
                await link.ask(question)
        await link.aclose()
    assert asked == 2
    assert link.away
    assert link.unanswered == 5
    told = {family.name: family.samples[0].value for family in LinkMetrics(link).collect()}
    assert told == {"spillway_redis_away": 1.0, "spillway_redis_unanswered": 5.0}


async def test_without_redis_the_cache_misses_and_keeps_nothing() -> None:
    link = RedisLink(nobody(), timeout_s=0.5)
    cache = RedisCache(link, b"secret", ttl_s=60, max_entry_bytes=10_000)
    await cache.put("a", an_entry())
    assert await cache.get("a") is None
    await cache.delete("a")
    await link.aclose()


@pytest.mark.parametrize("said", [b"$-1\r\n", b":5\r\n", b"*1\r\n:1\r\n"])
async def test_answers_of_another_kind_are_none(said: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            while asked := await reader.read(65_536):
                writer.write((b"+OK\r\n" if b"SETINFO" in asked else said) * asked.count(b"*"))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    link = RedisLink(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0?protocol=2", timeout_s=5.0)
    assert await RedisCache(link, b"secret", ttl_s=60, max_entry_bytes=10_000).get("a") is None
    assert await RedisLeases(link).take("a", "token") == "away"
    await link.aclose()
    server.close()
    await server.wait_closed()


async def test_it_is_back_with_the_first_answer() -> None:
    now = 0.0
    async with a_link() as good:
        link = RedisLink(nobody(), timeout_s=5.0, clock=lambda: now)
        with pytest.raises(RedisAway):
            await link.ask(ping)
        await link.aclose()
        link._redis = good._redis  # it has come up
        now = 1.0
        assert await link.ask(ping)
        assert not link.away


async def test_after_a_failover_a_connection_to_what_is_a_replica_now_is_made_anew() -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        demoted = connections == 1
        with contextlib.closing(writer):
            while asked := await reader.read(65_536):
                refusal = b"-READONLY You can't write against a read only replica.\r\n"
                writer.write(refusal if demoted and b"SET\r\n" in asked else b"+OK\r\n" * asked.count(b"*"))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0?protocol=2"
    link, rates = RedisLink(url, timeout_s=5.0), RedisRates(url, timeout_s=5.0)
    assert await link.ask(lambda redis: redis.set("a", "b"))
    assert connections == 2
    connections = 0
    assert await rates._redis.set("a", "b")
    await link.aclose()
    await rates.aclose()
    server.close()
    await server.wait_closed()
