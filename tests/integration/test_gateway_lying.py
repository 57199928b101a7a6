"""Servers that do not keep to what they are told, or are not today what they were yesterday: money and routing hold."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gateway.amounts import nanousd_of
from gateway.budgets.budget import Budget
from gateway.budgets.store import BudgetStore
from gateway.experts.store import ProbeStore
from gateway.ledger.tables import attempts, settlements
from gateway.tenancy.scope import Scope
from tests.databases import rows_of
from tests.experts import expert
from tests.gateway_server import CASCADE, OBSERVING, Running, serving
from tests.probed import known, look_round, pool
from tests.upstream import BadUpstream, Behaviour, nobody_there

OUTPUT_NANOUSD = 10_000  # a token, as the tests' price has it


async def settled(gateway: Running, n: int) -> dict[str, dict[str, Any]]:
    """The answers' attempts with what they were put down at, once there are so many."""
    async with asyncio.timeout(20):
        while True:
            ended = {row["attempt_id"]: row for row in await rows_of(gateway.database, settlements)}
            made = [row for row in await rows_of(gateway.database, attempts) if row["kind"] == "answer"]
            if len(made) >= n and all(row["attempt_id"] in ended for row in made):
                return {row["attempt_id"]: {**row, **ended[row["attempt_id"]]} for row in made}
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("context", [None, 4096])
async def test_who_writes_on_beyond_its_limit_is_bounded_by_its_context_or_by_nothing(
    tmp_path: Path, context: int | None
) -> None:
    more = ", probe: true" + ("" if context is None else f", context_tokens: {context}")
    async with BadUpstream() as upstream:
        upstream.will(expert(drops=("output_limit",)))
        models = "models:\n" + pool("large", upstream.base_url, more)
        async with serving(tmp_path, models, OBSERVING) as gateway:
            scope = Scope(level="org", id="default")
            amount = nanousd_of("0.1")
            budget = Budget(budget_id="", scope=scope, period="total", amount_nanousd=amount, hard=True)
            await BudgetStore(gateway.database).set(budget)
            await known(gateway, "large", {"output_limit"})
            async with asyncio.timeout(20):  # until the gateway has read what it found
                if context is None:
                    while (refused := await gateway.chat(max_tokens=8)).status_code == 200:  # noqa: ASYNC110
                        await asyncio.sleep(0.05)
                    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "budget_needs_bound")
                    return
                newest, n = {"reserved_nanousd": 0, "amount_nanousd": 0}, 0
                while newest["reserved_nanousd"] < context * OUTPUT_NANOUSD:
                    assert (await gateway.chat(max_tokens=8)).status_code == 200
                    n += 1
                    newest = max((await settled(gateway, n)).values(), key=lambda row: int(row["opened_us"]))
            assert 16 * OUTPUT_NANOUSD < newest["amount_nanousd"] <= newest["reserved_nanousd"]


async def test_a_replica_may_die_come_back_and_change_its_model(tmp_path: Path) -> None:
    port = int(nobody_there().rsplit(":", 1)[1].removesuffix("/v1"))
    async with BadUpstream() as one, BadUpstream(port) as other:
        one.will(expert())
        other.will(expert())
        replicas = f", deployments: [{{base_url: '{one.base_url}'}}, {{base_url: '{other.base_url}'}}]"
        more = f"{replicas}, probe: true, breaker: {{failures: 2, pause_s: 0.1}}, retries: {{most: 1, budget: 1}}"
        models = "models:\n" + pool("large", one.base_url, more)
        async with serving(tmp_path, models, OBSERVING) as gateway:
            await known(gateway, "large", set(), probed=2)
            await answered(gateway, other, comes=True)
            await other.__aexit__()  # it dies
            await answered(gateway, other, comes=False)
            async with BadUpstream(port) as back:
                back.will(expert(serves="another"))  # it is back, with another model
                await answered(gateway, back, comes=False)
                await look_round(gateway, tmp_path)
                assert await lacked(gateway) == set()  # who cannot be asked is not found to lack anything
                back.will(expert(context_tokens=1024, drops=("logprobs",)))  # and now with an older engine
                await answered(gateway, back, comes=True)
                await look_round(gateway, tmp_path)
                assert await lacked(gateway) == {"logprobs"}
            made = await settled(gateway, 1)
            assert {row["state"] for row in made.values()} == {"accepted", "failed"}
            for row in made.values():
                assert (row["amount_nanousd"] > 0) == (row["state"] == "accepted"), row
            assert {row["deployment"] for row in made.values() if row["state"] == "failed"} == {"2"}


async def lacked(gateway: Running) -> set[str]:
    """What one of the replicas was seen to do without, by the newest probe of each."""
    return {ability for kept in await ProbeStore(gateway.database).newest() for ability in kept.report.lacks}


async def answered(gateway: Running, replica: BadUpstream, *, comes: bool) -> None:
    """Every client is answered; with ``comes``, sooner or later by this replica."""
    before = served_by(replica)
    for n in range(200):
        replied = await gateway.chat(max_tokens=8)
        assert replied.status_code == 200, replied.text
        if n >= 8 and (not comes or served_by(replica) > before):
            break
        await asyncio.sleep(0.02)
    assert not comes or served_by(replica) > before


def served_by(replica: BadUpstream) -> int:
    """Requests for answers that came to it."""
    return sum(asked.path.endswith("/chat/completions") for asked in replica.asked)


@pytest.mark.parametrize("then", [expert(drops=("metrics",)), expert(engine="renamed"), expert(engine="sglang")])
async def test_an_engine_that_tells_its_load_no_more_is_counted_by_the_gateways_own_calls(
    tmp_path: Path, then: Behaviour
) -> None:
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(expert(load=lambda: (4, 9)))
        large.will(expert())
        models = "models:\n" + pool("small", small.base_url, ", probe: true, load: {every_s: 0.25}")
        models += pool("large", large.base_url)
        async with serving(tmp_path, models, CASCADE, threshold=0.1) as gateway:
            await goes_to(gateway, "large")
            small.will(then)
            await goes_to(gateway, "small")


async def goes_to(gateway: Running, model: str) -> None:
    """Return once this model answers."""
    async with asyncio.timeout(20):
        while (await gateway.chat("auto", max_tokens=8)).headers["x-spillway-model"] != model:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
