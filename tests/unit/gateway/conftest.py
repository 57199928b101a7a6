"""A database for the tests of what is stored, and a Redis for those of what is shared."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from gateway.database import Database
from gateway.redis_link import RedisLink
from tests.databases import fresh_database
from tests.redis_server import REDIS, a_link


@pytest.fixture
async def database(tmp_path: Path) -> AsyncGenerator[Database]:
    """A SQLite database with the newest schema."""
    async with fresh_database("sqlite", tmp_path) as made:
        yield made


@pytest.fixture
async def link() -> AsyncGenerator[RedisLink]:
    """A way to it, under a prefix of its own."""
    async with a_link() as opened:
        yield opened


@pytest.fixture
async def redis() -> AsyncGenerator[Redis]:
    """The server itself."""
    async with Redis.from_url(REDIS) as opened:
        yield opened
