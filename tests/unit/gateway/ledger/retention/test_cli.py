"""``spillway ledger retain`` says what goes and what stays, and drops nothing on a dry run."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.database import Database
from gateway.ledger.tables import requests
from gateway.ledger.verify_command import app
from tests.benchmarks.traffic import load
from tests.databases import rows_of

CONFIG = """\
database: {url: "sqlite+aiosqlite:///ledger.db"}
models: [{name: small, backend: openai_compatible, base_url: "http://127.0.0.1:9/v1"}]
"""


@pytest.fixture
def retain(tmp_path: Path) -> Callable[..., list[str]]:
    """The command on three hours of traffic of ten days ago."""

    async def fill() -> None:
        database = Database(f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}")
        await database.migrate()
        await load(database, 40, days=1, start=datetime.now(UTC) - timedelta(days=10))
        await database.dispose()

    asyncio.run(fill())

    def run(*options: str, ages: str = "{}") -> list[str]:
        (tmp_path / "spillway.yaml").write_text(f"{CONFIG}ledger: {{retention: {ages}}}\n")
        done = CliRunner().invoke(app, ["ledger", "retain", *options, "--config", str(tmp_path / "spillway.yaml")])
        assert done.exit_code == 0, done.output
        return done.output.splitlines()

    return run


def tags(folder: Path) -> set[str]:
    async def read() -> set[str]:
        database = Database(f"sqlite+aiosqlite:///{folder / 'ledger.db'}")
        try:
            return {row["tags"] for row in await rows_of(database, requests)}
        finally:
            await database.dispose()

    return asyncio.run(read())


def test_it_says_what_goes_and_drops_it(retain: Callable[..., list[str]], tmp_path: Path) -> None:
    assert retain() == ["ledger.retention names no age: everything stays"]
    (planned,) = retain("--dry-run", ages="{details_days: 3, money_days: 62}")
    assert planned.startswith("details from before ")
    assert planned.endswith(" UTC would be dropped")
    assert tags(tmp_path) != {"{}"}
    (done,) = retain(ages="{details_days: 3, money_days: 62}")
    assert done.endswith(" UTC dropped")
    assert " rows from before " in done
    assert tags(tmp_path) == {"{}"}
