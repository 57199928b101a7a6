"""Some requests are asked of the reference model besides: what it would have cost is seen, within a daily amount."""

import asyncio
from pathlib import Path

import pytest

from gateway.budgets.budget import Budget, Standing
from gateway.budgets.store import BudgetStore
from gateway.config.check import load_settings
from gateway.database import Database
from gateway.errors import ConfigError
from gateway.ledger.decisions import DecisionReport
from gateway.ledger.reports import Reports, Span
from gateway.ledger.rollups.fold import Rollups
from gateway.ledger.savings import Savings, read_savings
from gateway.tenancy.scope import Scope
from tests.gateway_server import Running, models, serving, written
from tests.upstream import BadUpstream, answer, hang, status

GOOD = "it is 0.95"
POOR = "it is 0.31"
ONE_CALL = 10_000 + 20_000  # what the test's usage costs, nano-USD


def shadowing(usd_per_day: str = "1", share: str = "1") -> str:
    shadow = f"shadow: {{share: {share}, usd_per_day: {usd_per_day}}}"
    policy = "name: default, safe_model: large, strategy: strategy.json, scorer: scorer"
    return f"policies: [{{{policy}, {shadow}}}]\n"


async def settled(gateway: Running, decision_id: str, attempts: int) -> DecisionReport:
    """The decision, once it has so many attempts and all of them have ended."""
    while True:
        found = await gateway.closed(decision_id)
        if len(found.attempts) == attempts and all(attempt.state is not None for attempt in found.attempts):
            return found
        await asyncio.sleep(0.01)


async def results(gateway: Running) -> dict[str, float]:
    metrics = (await gateway.http.get("/metrics")).text.splitlines()
    found = [line for line in metrics if line.startswith("spillway_shadow_calls_total{")]
    return {line.partition('result="')[2].partition('"')[0]: float(line.rpartition(" ")[2]) for line in found}


async def ended(gateway: Running, calls: int) -> dict[str, float]:
    while sum((found := await results(gateway)).values()) < calls:  # noqa: ASYNC110 - another's end
        await asyncio.sleep(0.01)
    return found


async def own_budget(gateway: Running) -> Standing:
    (found,) = await BudgetStore(gateway.database).standings()
    return found


async def savings(gateway: Running) -> Savings:
    return await read_savings(gateway.database, Span())


async def test_what_a_cheap_model_answered_is_asked_of_the_reference_too(tmp_path: Path) -> None:
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(answer(GOOD))
        large.will(answer("a longer answer", usage=(10, 6)))
        async with serving(tmp_path, models(small=small.base_url, large=large.base_url), shadowing()) as gateway:
            response = await gateway.chat(user="somebody", temperature=1)
            assert response.headers["x-spillway-model"] == "small"
            assert "a longer answer" not in response.text
            decision = await settled(gateway, response.headers["x-request-id"], attempts=2)
            assert decision.tags["spillway.shadow"] == "1"
            answered, shadow = decision.attempts
            assert (answered.kind, shadow.kind, shadow.model, shadow.state) == ("answer", "shadow", "large", "accepted")
            assert shadow.amount_nanousd == 10_000 + 60_000
            assert float(response.headers["x-spillway-cost-usd"]) * 1e9 == pytest.approx(answered.amount_nanousd)

            assert small.asked[0].body | {"model": ""} == large.asked[0].body | {"model": ""}
            assert (decision.reference_nanousd, decision.reference_source) == (70_000, "shadow")
            saved = await savings(gateway)
            assert set(saved.by_source) == {"shadow"}
            assert saved.compared.reference_nanousd == 70_000
            assert saved.saved_nanousd == 70_000 - 70_000 - ONE_CALL  # what was asked in shadow is spent
            off = saved.modelled_over_observed
            assert off is not None
            assert off.share == pytest.approx(30_000 / 70_000)
            assert (await own_budget(gateway)).settled_nanousd == 70_000


async def test_streams_are_asked_again_as_well_and_hours_that_are_rolled_up_say_the_same(tmp_path: Path) -> None:
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(answer(GOOD))
        large.will(answer("a longer answer", usage=(10, 6)))
        async with serving(tmp_path, models(small=small.base_url, large=large.base_url), shadowing()) as gateway:
            for n in range(3):
                response = await gateway.chat(stream=True, messages=[{"role": "user", "content": f"question {n}"}])
                await settled(gateway, response.headers["x-request-id"], attempts=2)
            before = (await savings(gateway)).as_json()
            rollups = Rollups(gateway.database)
            await rollups.fold(2**53, rebuild=True)
            assert [hour async for hour in rollups.check()] == []
            assert (await savings(gateway)).as_json() == before
            assert before["modelled_over_observed"]["requests"] == 3


async def test_what_the_reference_answered_itself_or_the_cache_is_not_asked_again(tmp_path: Path) -> None:
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(answer(POOR), answer(GOOD))
        async with serving(tmp_path, models(small=small.base_url, large=large.base_url), shadowing()) as gateway:
            first = await gateway.chat(messages=[{"role": "user", "content": "one"}], temperature=0)
            assert first.headers["x-spillway-model"] == "large"
            second = await gateway.chat(messages=[{"role": "user", "content": "two"}], temperature=0)
            await settled(gateway, second.headers["x-request-id"], attempts=2)
            hit = await gateway.chat(messages=[{"role": "user", "content": "two"}], temperature=0)
            assert hit.headers["x-spillway-cache"] == "HIT"
            assert (await settled(gateway, hit.headers["x-request-id"], attempts=0)).status == "cached"
            assert await results(gateway) == {"answered": 1}
            assert len(large.asked) == 2


async def test_no_more_is_spent_in_a_day_than_was_allowed(tmp_path: Path) -> None:
    """Every call may cost 0.042 USD, so that 0.05 reach for one at a time, and for all that 0.05 do pay."""
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(answer(GOOD))
        large.will(answer("dear", usage=(10, 2000)))  # 0.02001 USD
        listed = models(small=small.base_url, large=large.base_url)
        async with serving(tmp_path, listed, shadowing(usd_per_day="0.05")) as gateway:
            for n in range(4):
                response = await gateway.chat(messages=[{"role": "user", "content": f"question {n}"}])
                assert response.status_code == 200
                await ended(gateway, n + 1)
            assert await results(gateway) == {"answered": 1, "over_budget": 3}
            found = await own_budget(gateway)
            assert (found.budget.scope.level, found.budget.scope.id) == ("policy", "default")
            assert found.settled_nanousd == 20_010_000
            assert (await gateway.http.get("/metrics")).text.count("spillway_budget_refusals_total 0.0") == 1


async def test_a_budget_that_was_taken_away_is_made_again_and_never_done_without(tmp_path: Path) -> None:
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(answer(GOOD))
        async with serving(tmp_path, models(small=small.base_url, large=large.base_url), shadowing()) as gateway:
            for n in range(3):
                await gateway.chat(messages=[{"role": "user", "content": f"question {n}"}])
                await ended(gateway, n + 1)
                if n == 0:
                    await BudgetStore(gateway.database).remove((await own_budget(gateway)).budget.budget_id)
            assert await results(gateway) == {"answered": 2, "over_budget": 1}


async def test_tenants_budgets_are_not_spent_on_it(tmp_path: Path) -> None:
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(answer(GOOD))
        async with serving(tmp_path, models(small=small.base_url, large=large.base_url), shadowing()) as gateway:
            wish = Budget(
                budget_id="", scope=Scope(level="org", id="default"), period="total", amount_nanousd=10**9, hard=True
            )
            made = (await BudgetStore(gateway.database).set(wish)).budget_id
            await gateway.chat()
            await ended(gateway, 1)
            while True:
                standings = {one.budget.budget_id: one for one in await BudgetStore(gateway.database).standings()}
                if not any(one.reserved_nanousd for one in standings.values()):
                    break
                await asyncio.sleep(0.01)
            assert standings[made].settled_nanousd == ONE_CALL
            assert sum(one.settled_nanousd for one in standings.values()) == 2 * ONE_CALL


async def test_a_reference_that_fails_costs_the_client_nothing(tmp_path: Path) -> None:
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(answer(GOOD))
        large.will(status(500))
        async with serving(tmp_path, models(small=small.base_url, large=large.base_url), shadowing()) as gateway:
            response = await gateway.chat()
            assert (response.status_code, response.headers["x-spillway-model"]) == (200, "small")
            assert await ended(gateway, 1) == {"failed": 1}
            assert len(large.asked) == 1  # it is not tried again
            await settled(gateway, response.headers["x-request-id"], attempts=2)
            assert set((await savings(gateway)).by_source) == {"modelled"}


async def test_a_stop_hangs_up_on_it_and_settles_it(tmp_path: Path) -> None:
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(answer(GOOD))
        large.will(hang("before_headers"))
        async with serving(tmp_path, models(small=small.base_url, large=large.base_url), shadowing()) as gateway:
            response = await gateway.chat()
            while not large.asked:  # noqa: ASYNC110 - another's beginning
                await asyncio.sleep(0.01)
            decision_id = response.headers["x-request-id"]
        database = Database(f"sqlite+aiosqlite:///{tmp_path}/spillway.db")
        found = await Reports(database).decision(decision_id, None)
        assert found is not None
        assert [attempt.state for attempt in found.attempts] == ["accepted", "cancelled"]
        (standing,) = await BudgetStore(database).standings()
        assert standing.reserved_nanousd == 0
        await database.dispose()


@pytest.mark.parametrize(
    ("shadow", "words"),
    [
        ("{share: 0.1}", r"policies\[0\]\.shadow\.usd_per_day"),
        ("{usd_per_day: 0}", r"policies\[0\]\.shadow\.usd_per_day"),
        ("{usd_per_day: 1, share: 2}", r"policies\[0\]\.shadow\.share"),
        ("{usd_per_day: 1}", r"policies\[0\]\.shadow: belongs to policies with a strategy"),
    ],
)
def test_a_shadow_that_cannot_be_is_refused_where_it_is_written(tmp_path: Path, shadow: str, words: str) -> None:
    policy = f"policies: [{{name: default, safe_model: large, shadow: {shadow}}}]\n"
    with pytest.raises(ConfigError, match=words):
        load_settings(written(tmp_path, models(large="http://127.0.0.1:9/v1"), policy), env={})
