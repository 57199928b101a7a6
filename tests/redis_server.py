"""The Redis that tests share: a prefix of its own for each, and a link to it."""

import os
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.redis_link import RedisLink

REDIS = os.environ.get("SPILLWAY_TEST_REDIS_URL", "redis://127.0.0.1:6379/0")


@asynccontextmanager
async def a_prefix() -> AsyncGenerator[str]:
    """A prefix that nobody else has, all of whose names are gone afterwards."""
    prefix = f"test-{uuid.uuid4().hex}"
    async with Redis.from_url(REDIS) as redis:
        try:
            await redis.ping()
        except (RedisError, OSError) as error:
            reason = f"no Redis to test on ({error}); set SPILLWAY_TEST_REDIS_URL"
            if os.environ.get("SPILLWAY_REQUIRE_SERVICES") == "1":
                pytest.fail(reason)
            pytest.skip(reason)
        yield prefix
        async for name in redis.scan_iter(f"{prefix}:*", count=1000):
            await redis.delete(name)


@asynccontextmanager
async def a_link() -> AsyncGenerator[RedisLink]:
    """A way there, with patience for a busy machine."""
    async with a_prefix() as prefix:
        link = RedisLink(REDIS, timeout_s=5.0, prefix=prefix)
        yield link
        await link.aclose()
