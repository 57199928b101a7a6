"""What every place that keeps rates promises, in this process and in Redis."""

import asyncio
import os
import time
import uuid
from collections.abc import AsyncGenerator

import pytest

from gateway.rates.memory import MemoryRates
from gateway.rates.rates import Rates, Verdict
from gateway.rates.redis import RedisRates
from gateway.tenancy.scope import RateLimit, Scope

REDIS = os.environ.get("SPILLWAY_TEST_REDIS_URL", "redis://127.0.0.1:6379/0")


@pytest.fixture(params=["memory", "redis"])
async def rates(request: pytest.FixtureRequest) -> AsyncGenerator[Rates]:
    made: Rates = (
        MemoryRates()
        if request.param == "memory"
        else RedisRates(REDIS, timeout_s=5.0, prefix=f"test-{uuid.uuid4().hex}")
    )
    if isinstance(made, RedisRates):
        try:
            await made._redis.ping()
        except OSError as error:
            if os.environ.get("SPILLWAY_REQUIRE_SERVICES") == "1":
                pytest.fail(f"no Redis to test on ({error}); set SPILLWAY_TEST_REDIS_URL")
            pytest.skip(f"no Redis to test on ({error}); set SPILLWAY_TEST_REDIS_URL")
    yield made
    await made.aclose()


def org(**limits: int) -> RateLimit:
    return RateLimit(scope=Scope(level="org", id="acme"), **limits)


def key(**limits: int) -> RateLimit:
    return RateLimit(scope=Scope(level="key", id="key_1"), **limits)


async def take(rates: Rates, *limits: RateLimit, tokens: int = 0, ticket: str = "t", lease_s: float = 600) -> Verdict:
    return await rates.take(limits, tokens, ticket, lease_s)


async def settled(rates: Rates) -> None:
    """Endings are told behind the request."""
    if isinstance(rates, RedisRates) and rates._telling is not None:
        await rates._telling


async def test_a_minute_s_worth_passes_and_then_no_more(rates: Rates) -> None:
    began = time.monotonic()
    passed = [(await take(rates, org(requests_per_minute=5))).refused is None for _ in range(8)]
    refilled = (time.monotonic() - began) * 5 / 60
    assert 5 <= sum(passed) <= 5 + int(refilled + 1)
    refused = await take(rates, org(requests_per_minute=5))
    assert refused.refused == "requests"
    assert refused.wait_s is not None
    assert 0 < refused.wait_s <= 12
    assert refused.levels["requests"].remaining == 0


async def test_what_remains_is_told(rates: Rates) -> None:
    verdict = await take(rates, org(requests_per_minute=10, tokens_per_minute=1000), tokens=300)
    assert (verdict.levels["requests"].limit, verdict.levels["requests"].remaining) == (10, 9)
    assert (verdict.levels["tokens"].limit, verdict.levels["tokens"].remaining) == (1000, 700)
    assert verdict.levels["tokens"].reset_s == pytest.approx(18, abs=0.5)


async def test_nothing_is_taken_of_one_limit_where_another_refuses(rates: Rates) -> None:
    for _ in range(5):
        refused = await take(rates, org(requests_per_minute=5), key(tokens_per_minute=10), tokens=11)
        assert (refused.refused, refused.by, refused.wait_s) == ("tokens", key(tokens_per_minute=10), None)
    assert (await take(rates, org(requests_per_minute=5))).levels["requests"].remaining == 4


async def test_the_tightest_level_of_each_meter_is_told(rates: Rates) -> None:
    verdict = await take(rates, org(requests_per_minute=3), key(requests_per_minute=100))
    assert verdict.levels["requests"].limit == 3


async def test_tokens_are_corrected_when_the_request_has_ended(rates: Rates) -> None:
    limit = org(tokens_per_minute=1000)
    await take(rates, limit, tokens=900, ticket="a")
    assert (await take(rates, limit, tokens=500, ticket="b")).refused == "tokens"
    rates.give_back([limit], 800, "a")
    await settled(rates)
    assert (await take(rates, limit, tokens=500, ticket="b")).refused is None
    rates.give_back([limit], -1200, "b")  # it took more than was thought: a debt
    await settled(rates)
    refused = await take(rates, limit, tokens=1, ticket="c")
    assert refused.wait_s is not None
    assert refused.wait_s > 30


async def test_so_many_at_once(rates: Rates) -> None:
    limit = org(concurrent=2)
    assert [(await take(rates, limit, ticket=name)).refused for name in "abc"] == [None, None, "concurrent"]
    rates.give_back([limit], 0, "a")
    await settled(rates)
    assert (await take(rates, limit, ticket="d")).refused is None
    assert (await take(rates, limit, ticket="e")).refused == "concurrent"


async def test_a_ticket_that_nobody_gives_back_ends_by_itself(rates: Rates) -> None:
    limit = org(concurrent=1)
    await take(rates, limit, ticket="lost", lease_s=0.05)
    while (await take(rates, limit, ticket="next")).refused is not None:  # noqa: ASYNC110 - time itself is awaited
        await asyncio.sleep(0.01)


async def test_side_by_side_no_more_pass_than_one_after_the_other(rates: Rates) -> None:
    began = time.monotonic()
    limit = key(requests_per_minute=20, concurrent=1000)
    verdicts = await asyncio.gather(*(take(rates, limit, ticket=f"t{n}") for n in range(60)))
    passed = sum(verdict.refused is None for verdict in verdicts)
    assert 20 <= passed <= 20 + int((time.monotonic() - began) * 20 / 60 + 1)
