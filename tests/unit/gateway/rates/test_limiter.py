"""The limiter while the shared place is away: bounded, visible, and as the configuration says."""

import socket
import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rates.limiter import RateLimiter
from gateway.rates.memory import MemoryRates
from gateway.rates.rates import RateLimited, RatesUnavailable, Verdict, rate_headers, span
from gateway.rates.redis import RedisRates
from gateway.tenancy.scope import RateLimit, Scope

LIMITS = [RateLimit(scope=Scope(level="key", id="k"), requests_per_minute=2)]


class Away:
    """A place that does not answer, until it is told to."""

    def __init__(self) -> None:
        self.asked, self.back = 0, False

    async def take(self, limits: Sequence[RateLimit], tokens: int, ticket: str, lease_s: float) -> Verdict:
        self.asked += 1
        if not self.back:
            raise RatesUnavailable("away")
        return Verdict()

    def give_back(self, limits: Sequence[RateLimit], tokens: int, ticket: str) -> None: ...

    async def aclose(self) -> None: ...


async def test_while_it_is_away_each_process_counts_for_itself() -> None:
    now, place = [0.0], Away()
    limiter = RateLimiter(place, clock=lambda: now[0])
    for _ in range(2):
        await limiter.admit(LIMITS, 0, "a")
    with pytest.raises(RateLimited):
        await limiter.admit(LIMITS, 0, "a")
    assert (place.asked, limiter.unshared) == (1, 3)  # not asked again with every request
    assert limiter.trouble is not None
    now[0], place.back = 1.0, True
    assert (await limiter.admit(LIMITS, 0, "a")).kept_in is place
    assert limiter.trouble is None


async def test_or_what_has_a_limit_is_refused() -> None:
    limiter = RateLimiter(Away(), when_down="closed")
    with pytest.raises(RatesUnavailable) as refused:
        await limiter.admit(LIMITS, 0, "a")
    assert refused.value.status == 503
    await limiter.admit([], 0, "a")  # what has none is not


async def test_a_redis_that_takes_connections_and_says_nothing_costs_a_bounded_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        limiter = RateLimiter(RedisRates(url, timeout_s=0.1))
        began = time.monotonic()
        ticket = await limiter.admit(LIMITS, 0, "a")
        assert time.monotonic() - began < 5
        limiter.release(ticket, None)
        assert limiter.trouble is not None
        await limiter.aclose()


async def test_a_refusal_tells_openai_s_clients_when_to_come_back() -> None:
    limiter = RateLimiter()
    for _ in range(2):
        await limiter.admit(LIMITS, 0, "a")
    with pytest.raises(RateLimited) as refused:
        await limiter.admit(LIMITS, 0, "a")
    headers = refused.value.headers
    assert (refused.value.status, refused.value.code, refused.value.type) == (429, "rate_limit_exceeded", "requests")
    assert 1 <= int(headers["retry-after"]) <= 30
    assert 0 < int(headers["retry-after-ms"]) <= 30_000
    assert headers["x-ratelimit-limit-requests"] == "2"
    assert headers["x-ratelimit-remaining-requests"] == "0"


async def test_what_never_fits_is_not_to_be_tried_again() -> None:
    limits = [RateLimit(scope=Scope(level="key", id="k"), tokens_per_minute=100)]
    with pytest.raises(RateLimited, match="max_tokens") as refused:
        await RateLimiter().admit(limits, 101, "a")
    assert refused.value.headers["x-should-retry"] == "false"


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(0, 50)), max_size=60))
async def test_in_any_time_no_more_than_the_stated_bound_passes(asked: list[tuple[float, int]]) -> None:
    now = [0.0]
    rates = MemoryRates(clock=lambda: now[0])
    limits = [RateLimit(scope=Scope(level="org", id="o"), requests_per_minute=6, tokens_per_minute=100)]
    requests = tokens = 0
    for pause, need in asked:
        now[0] += pause
        verdict = await rates.take(limits, need, "t", 60)
        if verdict.refused is None:
            requests, tokens = requests + 1, tokens + need
        assert requests <= 6 * (1 + now[0] / 60) + 1e-6
        assert tokens <= 100 * (1 + now[0] / 60) + 1e-6
        assert all(int(value) >= 0 for name, value in rate_headers(verdict).items() if "remaining" in name)


@pytest.mark.parametrize(
    ("seconds", "told"), [(0, "0ms"), (0.0004, "1ms"), (0.5, "500ms"), (1, "1s"), (59.99, "60s"), (90, "1m30s")]
)
def test_spans_are_written_as_openai_does(seconds: float, told: str) -> None:
    assert span(seconds) == told
