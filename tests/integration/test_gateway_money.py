"""What clients see of budgets, pacing and rates: the real openai client against a whole gateway."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from gateway.amounts import nanousd_of
from gateway.budgets.budget import Budget
from gateway.budgets.store import BudgetStore
from gateway.budgets.windows import Period
from gateway.keys import KeyRules, KeyStore
from gateway.tenancy.directory import Directory
from gateway.tenancy.scope import Level, RateLimit, Scope
from tests.gateway_server import CASCADE, HELLO, OBSERVING, Running, models, serving
from tests.upstream import BadUpstream, answer, hang

ONE_CALL = "0.05"  # reserves a little more than 4096 output tokens at 10 USD a million
STRICT = CASCADE.replace("}", ", when_unaffordable: refuse}")


def dear_and_cheap(small: BadUpstream, large: BadUpstream) -> str:
    """A call of the small model may cost 0.042 USD, one of the large model twice as much."""
    listed = models(small=small.base_url, large=large.base_url)
    head, name, rest = listed.partition("name: large")
    return head + name + rest.replace("max_output_tokens: 4096", "max_output_tokens: 8192")


async def budget(
    gateway: Running,
    usd: str,
    *,
    level: Level = "org",
    scope: str = "default",
    period: Period = "monthly",
    **rules: Any,
) -> str:
    wish = {"hard": True} | rules
    made = await BudgetStore(gateway.database).set(
        Budget(budget_id="", scope=Scope(level=level, id=scope), period=period, amount_nanousd=nanousd_of(usd), **wish)
    )
    return made.budget_id


async def standing(gateway: Running, settled: bool = True) -> tuple[int, int]:
    """What is reserved and settled of the one budget, once nothing is under way."""
    while True:
        (found,) = await BudgetStore(gateway.database).standings()
        if not settled or not found.reserved_nanousd:
            return found.reserved_nanousd, found.settled_nanousd
        await asyncio.sleep(0.01)  # only as long as the ledger takes to write its batch


async def test_a_hard_budget_lets_calls_through_until_it_does_not_reach(tmp_path: Path) -> None:
    async with BadUpstream() as upstream, serving(tmp_path, models(large=upstream.base_url), OBSERVING) as gateway:
        await budget(gateway, ONE_CALL)
        assert (await gateway.chat()).status_code == 200
        assert (await gateway.chat(max_tokens=100)).status_code == 200
        reserved, settled = await standing(gateway)
        assert (reserved, settled) == (0, 2 * (10_000 + 20_000))  # USAGE at the price of the test
        await BudgetStore(gateway.database).remove(
            (await BudgetStore(gateway.database).standings())[0].budget.budget_id
        )
        await budget(gateway, "0.00001")  # in place of the one before
        with pytest.raises(openai.RateLimitError) as refused:
            await gateway.client().chat.completions.create(model="auto", messages=HELLO)
        assert refused.value.code == "budget_exceeded"
        assert "The monthly budget of org default" in str(refused.value)
        assert refused.value.response.headers["x-should-retry"] == "false"
        assert int(refused.value.response.headers["retry-after"]) >= 1
        assert len(upstream.asked) == 2


async def test_every_level_binds(tmp_path: Path) -> None:
    async with BadUpstream() as upstream, serving(tmp_path, models(large=upstream.base_url), OBSERVING) as gateway:
        team = await Directory(gateway.database).open_team("default", "search")
        info, secret = await KeyStore(gateway.database).create("app", rules=KeyRules(team_id=team.team_id))
        client = gateway.client(api_key=secret)
        levels: list[tuple[Level, str]] = [("team", team.team_id), ("key", info.key_id), ("org", "default")]
        for level, name in levels:
            made = await budget(gateway, "0.001", level=level, scope=name, period="daily")
            with pytest.raises(openai.RateLimitError, match=f"daily budget of {level}"):
                await client.chat.completions.create(model="auto", messages=HELLO)
            await BudgetStore(gateway.database).remove(made)
        await client.chat.completions.create(model="auto", messages=HELLO)


async def test_where_escalation_is_not_affordable_the_best_answer_stands_and_says_so(tmp_path: Path) -> None:
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(answer("it is 0.31"))
        async with serving(tmp_path, dear_and_cheap(small, large), CASCADE) as gateway:
            await budget(gateway, ONE_CALL)
            response = await gateway.chat()
            assert response.status_code == 200, response.text
            assert response.json()["choices"][0]["message"]["content"] == "it is 0.31"
            assert response.headers["x-spillway-budget"] == "exhausted"
            assert response.headers["x-spillway-stop-reason"] == "budget_exhausted"
            assert (await gateway.decision(response))["stop_reason"] == "budget_exhausted"
        assert not large.asked


async def test_or_it_is_refused_if_the_policy_says_so(tmp_path: Path) -> None:
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(answer("it is 0.31"))
        async with serving(tmp_path, dear_and_cheap(small, large), STRICT) as gateway:
            await budget(gateway, ONE_CALL)
            refused = await gateway.chat()
            assert (refused.status_code, refused.json()["error"]["code"]) == (429, "budget_exceeded")
            assert refused.headers["x-should-retry"] == "false"  # an answer was paid for


async def test_without_a_bound_or_a_price_a_hard_budget_refuses_by_name(tmp_path: Path) -> None:
    async with BadUpstream() as upstream:
        listed = models(large=upstream.base_url).replace("    max_output_tokens: 4096\n", "")
        free = f"  - {{name: odd, backend: openai_compatible, base_url: '{upstream.base_url}'}}\n"
        async with serving(tmp_path, listed + free, OBSERVING) as gateway:
            await budget(gateway, "100")
            for fields, param in (({}, "max_tokens"), ({"model": "odd", "max_tokens": 5}, "model")):
                refused = await gateway.chat(**fields)  # type: ignore[arg-type]  # a mixed bag
                assert (refused.status_code, refused.json()["error"]["code"]) == (400, "budget_needs_bound")
                assert refused.json()["error"]["param"] == param
            assert (await gateway.chat(max_tokens=50)).status_code == 200
        assert len(upstream.asked) == 1


async def test_a_soft_budget_counts_and_refuses_nothing(tmp_path: Path) -> None:
    async with BadUpstream() as upstream, serving(tmp_path, models(large=upstream.base_url), OBSERVING) as gateway:
        await budget(gateway, "0.00001", hard=False)
        for _ in range(2):
            assert (await gateway.chat()).status_code == 200
        assert (await standing(gateway))[1] == 60_000


async def test_what_a_client_leaves_behind_is_settled_and_given_back(tmp_path: Path) -> None:
    async with BadUpstream() as upstream, serving(tmp_path, models(large=upstream.base_url), OBSERVING) as gateway:
        upstream.will(hang("mid_stream"))
        await budget(gateway, "1")
        asked = {"model": "auto", "messages": HELLO, "stream": True}
        async with gateway.http.stream("POST", "/v1/chat/completions", json=asked) as r:
            await anext(r.aiter_bytes())
        _, settled = await standing(gateway)
        assert settled > 0  # the provider bills what it made


async def test_a_request_costs_no_more_than_its_key_allows(tmp_path: Path) -> None:
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(answer("it is 0.31"))
        async with serving(tmp_path, dear_and_cheap(small, large), CASCADE) as gateway:
            rules = KeyRules(max_cost_nanousd=nanousd_of(ONE_CALL))
            _, secret = await KeyStore(gateway.database).create("app", rules=rules)
            by = {"authorization": f"Bearer {secret}"}
            asked = {"model": "auto", "messages": HELLO}
            first = await gateway.http.post("/v1/chat/completions", json=asked, headers=by)
            assert (first.status_code, first.headers["x-spillway-model"]) == (200, "small")  # the other is left out
            refused = await gateway.http.post("/v1/chat/completions", json=asked | {"model": "large"}, headers=by)
            assert (refused.status_code, refused.json()["error"]["code"]) == (400, "max_cost_exceeded")
        assert not large.asked


async def test_a_budget_that_runs_down_lowers_thresholds_before_it_refuses(tmp_path: Path) -> None:
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(answer("it is 0.70"))
        async with serving(tmp_path, models(small=small.base_url, large=large.base_url), CASCADE) as gateway:
            await budget(gateway, "0.002", period="total", paced=True, hard=False)
            first = await gateway.chat(max_tokens=20)  # 0.70 is less than 0.8, and there is no pressure yet
            assert first.headers["x-spillway-model"] == "large"
            assert "x-spillway-pressure" not in first.headers
            while True:
                response = await gateway.chat(max_tokens=20)
                pressure = float(response.headers.get("x-spillway-pressure", 0))
                if response.headers["x-spillway-model"] == "small":
                    break
            assert pressure > 0.1
            assert float(response.headers["x-spillway-threshold"]) == pytest.approx(0.8 * (1 - pressure), abs=1e-5)
            assert (await gateway.decision(response))["tags"] == {"spillway.pressure": f"{pressure:.6f}"}


async def test_rates_are_told_and_kept(tmp_path: Path) -> None:
    async with BadUpstream() as upstream, serving(tmp_path, models(large=upstream.base_url), OBSERVING) as gateway:
        limit = RateLimit(scope=Scope(level="org", id="default"), requests_per_minute=2, tokens_per_minute=1000)
        await Directory(gateway.database).set_rates(limit)
        raw = await gateway.client().chat.completions.with_raw_response.create(
            model="auto", messages=HELLO, max_tokens=400
        )
        assert raw.headers["x-ratelimit-limit-requests"] == "2"
        assert raw.headers["x-ratelimit-remaining-requests"] == "1"
        assert 590 <= int(raw.headers["x-ratelimit-remaining-tokens"]) < 600
        async with gateway.http.stream(
            "POST", "/v1/chat/completions", json={"model": "auto", "messages": HELLO, "stream": True, "max_tokens": 400}
        ) as second:  # 400 were given back, so another 400 fit
            assert second.headers["x-ratelimit-remaining-requests"] == "0"
            await second.aread()
        with pytest.raises(openai.RateLimitError) as refused:
            await gateway.client().chat.completions.create(model="auto", messages=HELLO)
        assert refused.value.code == "rate_limit_exceeded"
        assert refused.value.response.headers["x-ratelimit-remaining-requests"] == "0"
        assert float(refused.value.response.headers["retry-after-ms"]) <= 30_000
        assert len(upstream.asked) == 2


async def test_so_many_requests_at_once_and_a_place_is_free_again_when_one_ends(tmp_path: Path) -> None:
    async with BadUpstream() as upstream, serving(tmp_path, models(large=upstream.base_url), OBSERVING) as gateway:
        await Directory(gateway.database).set_rates(RateLimit(scope=Scope(level="org", id="default"), concurrent=1))
        upstream.will(hang("before_headers"), answer("free"))
        hanging = asyncio.create_task(gateway.chat())
        await upstream.reached(1)
        refused = await gateway.chat()
        assert (refused.status_code, refused.json()["error"]["type"]) == (429, "concurrent")
        hanging.cancel()
        await asyncio.wait({hanging})
        async with asyncio.timeout(20):
            while (await gateway.chat()).status_code != 200:  # noqa: ASYNC110 - the gateway hears of it in its own time
                await asyncio.sleep(0.01)


async def test_metrics_tell_sums_and_name_no_key(tmp_path: Path) -> None:
    async with BadUpstream() as upstream, serving(tmp_path, models(large=upstream.base_url), OBSERVING) as gateway:
        await budget(gateway, "0.0000001")
        await gateway.chat()
        async with httpx.AsyncClient(base_url=gateway.url) as anybody:
            told = (await anybody.get("/metrics")).text
        assert "spillway_budget_refusals_total 1.0" in told
        assert "key_" not in told
