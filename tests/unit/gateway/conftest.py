"""A database for the tests of what is stored."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from gateway.database import Database
from tests.databases import fresh_database


@pytest.fixture
async def database(tmp_path: Path) -> AsyncGenerator[Database]:
    """A SQLite database with the newest schema."""
    async with fresh_database("sqlite", tmp_path) as made:
        yield made
