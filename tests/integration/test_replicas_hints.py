"""Two gateways, one upstream that fails: who has not called it yet lets a single call find out."""

from pathlib import Path

from tests.gateway_server import OBSERVING, models
from tests.replicas import replicas, until
from tests.upstream import BadUpstream, answer, status

STATE = 'spillway_breaker_state{deployment="1",model="large"}'
HALF_OPEN, OPEN = 1, 2


async def test_a_breaker_that_opens_is_heard_of_and_a_probe_ends_the_doubt(tmp_path: Path) -> None:
    async with BadUpstream() as upstream:
        upstream.will(status(500))
        there = models(large=upstream.base_url, extra="breaker: {pause_s: 60}"), OBSERVING
        async with replicas(tmp_path, *there) as (one, two):
            for _ in range(5):
                assert (await one.chat(temperature=1)).status_code >= 500
            assert await one.gauge(STATE) == OPEN

            async def doubted() -> bool:
                return await two.gauge(STATE) == HALF_OPEN

            await until(doubted)
            assert len(upstream.asked) == 5
            upstream.will(answer("forty-two"))
            assert (await two.chat(temperature=1)).status_code == 200
            assert await two.gauge(STATE) == 0
            assert (await one.chat(temperature=1)).status_code == 503  # it goes by what it saw itself
            assert len(upstream.asked) == 6
