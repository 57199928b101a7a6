"""Prices from lists to amounts and back: taken over, dated, used, explained, and put right, through a whole gateway."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway.admin.prices_command import app
from gateway.budgets.budget import Budget
from gateway.budgets.store import BudgetStore
from gateway.database import Database
from gateway.ledger.tables import attempts, line_items, price_versions
from gateway.ledger.verify import verify
from gateway.tenancy.scope import Scope
from router.backends.hosted_catalog import known_price
from tests.databases import rows_of
from tests.gateway_server import OBSERVING, Running, serving
from tests.upstream import BadUpstream, answer

LIST = """
models:
  large:
    - {input: 1, output: 10, effective_until: 2026-01-01}
    - {input: 2, output: 20, batch_input: 1, batch_output: 10, effective_from: 2026-01-01}
    - {input: 3, output: 30, region: eu}
"""
USAGE_TODAY = 10 * 2_000 + 2 * 20_000  # nano-USD: ten tokens read, two written


def spillway(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(app, [*words, "--config", str(folder / "spillway.yaml")])


def listed(base_url: str, more: str = "") -> str:
    return (
        f"models: [{{name: large, backend: openai_compatible, base_url: '{base_url}', max_output_tokens: 50{more}}}]\n"
    )


async def settled(gateway: Running, calls: int = 1) -> list[int | None]:
    """What the first so many calls cost, once they are on record."""
    while len({row["attempt_id"] for row in await rows_of(gateway.database, line_items)}) < calls:  # noqa: ASYNC110
        await asyncio.sleep(0.01)  # only as long as the ledger takes to write its batch
    costs: dict[str, int | None] = {}
    for row in await rows_of(gateway.database, line_items):
        before, amount = costs.get(row["attempt_id"], 0), row["amount_nanousd"]
        costs[row["attempt_id"]] = None if before is None or amount is None else before + amount
    return [*costs.values()]


async def test_an_amount_can_be_explained_by_its_price_version(tmp_path: Path) -> None:
    (tmp_path / "prices.yaml").write_text(LIST)
    async with BadUpstream() as upstream:
        sections = (listed(upstream.base_url), OBSERVING, "prices: prices.yaml\n")
        async with serving(tmp_path, *sections) as gateway:
            await gateway.chat()
            await gateway.chat()
            assert await settled(gateway, 2) == [USAGE_TODAY, USAGE_TODAY]
            (version,) = await rows_of(gateway.database, price_versions)
            used = {row["price_version"] for row in await rows_of(gateway.database, line_items)}
        assert used == {version["price_version"]}
        told = await asyncio.to_thread(spillway, tmp_path, "prices", "version", version["price_version"])
        content = json.loads(told.stdout)
        assert (content["model"], content["input"], content["output"]) == ("large", "2", "20")
        assert content["effective_from"].startswith("2026-01-01")
        unknown = await asyncio.to_thread(spillway, tmp_path, "prices", "version", "pr_0")
        assert unknown.exit_code != 0


@pytest.mark.parametrize(("region", "cost"), [("eu", 10 * 3_000 + 2 * 30_000), ("us", USAGE_TODAY)])
async def test_a_region_has_its_own_price_where_one_is_listed(tmp_path: Path, region: str, cost: int) -> None:
    (tmp_path / "prices.yaml").write_text(LIST)
    async with BadUpstream() as upstream:
        sections = (listed(upstream.base_url, f", region: {region}"), OBSERVING, "prices: prices.yaml\n")
        async with serving(tmp_path, *sections) as gateway:
            await gateway.chat()
            assert await settled(gateway) == [cost]


async def test_what_is_served_at_leisure_costs_what_a_batch_costs(tmp_path: Path) -> None:
    (tmp_path / "prices.yaml").write_text(LIST)
    async with BadUpstream() as upstream:
        upstream.will(answer("later", extra={"service_tier": "flex"}))
        async with serving(tmp_path, listed(upstream.base_url), OBSERVING, "prices: prices.yaml\n") as gateway:
            await gateway.chat(service_tier="flex")
            assert await settled(gateway) == [USAGE_TODAY // 2]
            assert {row["meter"] for row in await rows_of(gateway.database, line_items)} == {
                "batch_input",
                "batch_output",
            }


@pytest.mark.parametrize(("served", "cost"), [("priority", 10 * 4_000 + 2 * 40_000), ("default", USAGE_TODAY)])
async def test_what_is_served_ahead_of_others_has_its_own_price(tmp_path: Path, served: str, cost: int) -> None:
    ahead = LIST.replace("batch_output: 10", "batch_output: 10, priority_input: 4, priority_output: 40")
    assert ahead != LIST
    (tmp_path / "prices.yaml").write_text(ahead)
    async with BadUpstream() as upstream:
        upstream.will(answer("now", extra={"service_tier": served}))
        async with serving(tmp_path, listed(upstream.base_url), OBSERVING, "prices: prices.yaml\n") as gateway:
            await gateway.chat(service_tier="priority")
            assert await settled(gateway) == [cost]


@pytest.mark.parametrize("tier", ["priority", "flex"])
async def test_a_price_that_does_not_say_how_it_was_served_is_unknown(tmp_path: Path, tier: str) -> None:
    (tmp_path / "prices.yaml").write_text("models:\n  large: [{input: 2, output: 20}]\n")
    async with BadUpstream() as upstream:
        upstream.will(answer("served", extra={"service_tier": tier}))
        async with serving(tmp_path, listed(upstream.base_url), OBSERVING, "prices: prices.yaml\n") as gateway:
            await gateway.chat(service_tier=tier)
            assert await settled(gateway) == [None]
            assert "spillway_ledger_unknown_prices_total 1.0" in (await gateway.http.get("/metrics")).text
            (row,) = await rows_of(gateway.database, attempts)
            assert (row["reserved_nanousd"] is None) == (tier == "priority")
        priced = "models:\n  large: [{input: 2, output: 20, batch_input: 1, batch_output: 10, priority_input: 4, "
        (tmp_path / "prices.yaml").write_text(priced + "priority_output: 40}]\n")
        done = await asyncio.to_thread(spillway, tmp_path, "prices", "reprice", "--from", "2026-01-01")
        assert "1 corrected" in done.stdout
        assert await _total(tmp_path) == (USAGE_TODAY * 2 if tier == "priority" else USAGE_TODAY // 2)


async def test_prices_are_compared_taken_over_and_put_right_with_the_budgets(tmp_path: Path) -> None:
    (tmp_path / "new.yaml").write_text("models:\n  large: [{input: 1, output: 1}]\n")
    (tmp_path / "prices.json").write_text('{"models": {"large": [{"input": 5, "output": 50}]}}')
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()
    async with BadUpstream() as upstream:
        sections = (listed(upstream.base_url), OBSERVING, "prices: prices.json\n")
        async with serving(tmp_path, *sections) as gateway:
            budget = Budget(
                budget_id="",
                scope=Scope(level="org", id="default"),
                period="total",
                amount_nanousd=10_000_000,
                hard=True,
            )
            await BudgetStore(gateway.database).set(budget)
            await gateway.chat()
            assert await settled(gateway) == [150_000]
        differing = await asyncio.to_thread(spillway, tmp_path, "prices", "diff", str(tmp_path / "new.yaml"))
        assert (differing.exit_code, "input 5 output 50 -> input 1 output 1" in differing.stdout) == (1, True)
        taken = await asyncio.to_thread(
            spillway, tmp_path, "prices", "import", str(tmp_path / "new.yaml"), "--from", tomorrow
        )
        assert taken.exit_code == 0, taken.output
        same = await asyncio.to_thread(spillway, tmp_path, "prices", "reprice", "--from", "2026-01-01")
        assert " 0 corrected" in same.stdout  # in force from tomorrow on: today's call keeps its price
        written = json.loads((tmp_path / "prices.json").read_text())["models"]["large"]
        assert [entry["input"] for entry in written] == ["5", "1"]
        (tmp_path / "prices.json").write_text('{"models": {"large": [{"input": 700, "output": 5000}]}}')
        tried = await asyncio.to_thread(spillway, tmp_path, "prices", "reprice", "--from", "2026-01-01", "--dry-run")
        assert "1 would be corrected" in tried.stdout
        done = await asyncio.to_thread(spillway, tmp_path, "prices", "reprice", "--from", "2026-01-01")
        assert "1 corrected" in done.stdout
        again = await asyncio.to_thread(spillway, tmp_path, "prices", "reprice", "--from", "2026-01-01")
        assert " 0 corrected" in again.stdout
        async with serving(tmp_path, *sections) as gateway:
            (standing,) = await BudgetStore(gateway.database).standings()
            assert standing.settled_nanousd == 10 * 700_000 + 2 * 5_000_000  # above the limit: corrections are exempt
            refused = await gateway.chat()
            assert refused.json()["error"]["code"] == "budget_exceeded"
            assert (await verify(gateway.database)).is_sound
            assert len(await rows_of(gateway.database, price_versions)) == 2


async def test_an_unknown_price_is_null_counted_and_alarmed_until_one_is_known(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "prices.json").write_text('{"models": {}}')
    async with BadUpstream() as upstream:
        async with serving(tmp_path, listed(upstream.base_url), OBSERVING, "prices: prices.json\n") as gateway:
            await gateway.chat()
            assert await settled(gateway) == [None]
            assert "spillway_ledger_unknown_prices_total 1.0" in (await gateway.http.get("/metrics")).text
            assert "no price in force" in caplog.text
        (tmp_path / "prices.json").write_text('{"models": {"large": [{"input": 2, "output": 20}]}}')
        done = await asyncio.to_thread(spillway, tmp_path, "prices", "reprice", "--from", "2026-01-01")
        assert "USD 0 -> 0.00006 " in done.stdout
        total = await _total(tmp_path)
        assert total == USAGE_TODAY


async def _total(folder: Path) -> int:
    database = Database(f"sqlite+aiosqlite:///{folder / 'spillway.db'}")
    found = sum(row["amount_nanousd"] or 0 for row in await rows_of(database, line_items))
    await database.dispose()
    return found


def test_hosted_prices_are_taken_over_from_litellms_map(tmp_path: Path) -> None:
    (tmp_path / "prices.json").write_text('{"models": {"gpt-4o-mini": [{"input": 9, "output": 9}]}}')
    hosted = "models: [{name: gpt-4o-mini, backend: hosted, upstream_model: openai/gpt-4o-mini, api_key: x}]\n"
    (tmp_path / "spillway.yaml").write_text(
        hosted + "policies: [{name: default, safe_model: gpt-4o-mini}]\nprices: prices.json\n"
    )
    assert spillway(tmp_path, "prices", "diff").exit_code == 1
    taken = spillway(tmp_path, "prices", "import", "--from", "2026-10-01")
    assert taken.exit_code == 0, taken.output
    entry = json.loads((tmp_path / "prices.json").read_text())["models"]["gpt-4o-mini"][-1]
    known = known_price("openai/gpt-4o-mini")
    assert known is not None
    assert Decimal(entry["input"]) == known.rates["input"]
    assert Decimal(entry["batch_input"]) == known.rates["batch_input"] < known.rates["input"]
    assert spillway(tmp_path, "prices", "diff").exit_code == 0


def test_a_region_of_litellms_map_is_priced_apart() -> None:
    everywhere, eu = known_price("azure/gpt-4o-mini-2024-07-18"), known_price("azure/gpt-4o-mini-2024-07-18", "eu")
    assert everywhere is not None
    assert eu is not None
    assert eu.region == "eu"
    assert eu.rates["input"] > everywhere.rates["input"]
