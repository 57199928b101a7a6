"""The turns of one conversation: where they are asked, and at which tier they begin."""

from pathlib import Path
from typing import Any

from tests.gateway_server import models, serving
from tests.upstream import BadUpstream, answer

STICKY = (
    "policies: [{name: default, safe_model: large, strategy: strategy.json, scorer: scorer, "
    "sticky: {turns: 1, ttl_s: 60}}]\n"
)


def turns(n: int) -> list[dict[str, Any]]:
    said = [{"role": "user", "content": "hard one"}]
    for turn in range(1, n):
        said += [{"role": "assistant", "content": "0.99"}, {"role": "user", "content": f"and {turn}?"}]
    return said


async def test_a_conversation_that_escalated_stays_escalated_for_some_turns_and_says_so(tmp_path: Path) -> None:
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(answer("0.10"), answer("0.95"))
        large.will(answer("0.99"))
        config = models(small=small.base_url, large=large.base_url) + STICKY
        async with serving(tmp_path, config) as gateway:
            first = await gateway.chat(messages=turns(1))
            assert (first.headers["x-spillway-tier"], "x-spillway-sticky" in first.headers) == ("2", False)
            second = await gateway.chat(messages=turns(2))
            assert (second.headers["x-spillway-tier"], second.headers["x-spillway-sticky"]) == ("2", "2")
            assert (await gateway.decision(second))["tags"] == {"spillway.sticky": "2"}
            assert len(small.asked) == 1
            third = await gateway.chat(messages=turns(3))
            assert (third.headers["x-spillway-tier"], "x-spillway-sticky" in third.headers) == ("1", False)
            metrics = (await gateway.http.get("/metrics")).text
            assert 'spillway_sticky_total{policy="default"} 1.0' in metrics


async def test_the_clients_own_bounds_come_first(tmp_path: Path) -> None:
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(answer("0.10"))
        large.will(answer("0.99"))
        config = models(small=small.base_url, large=large.base_url) + STICKY
        async with serving(tmp_path, config) as gateway:
            await gateway.chat(messages=turns(1))
            bounded = await gateway.chat(messages=turns(2), spillway={"max_tier": 1})
            assert bounded.headers["x-spillway-tier"] == "1"


async def test_the_turns_of_a_conversation_go_to_one_deployment(tmp_path: Path) -> None:
    async with BadUpstream() as one, BadUpstream() as other:
        both = f"deployments: [{{base_url: '{one.base_url}'}}, {{base_url: '{other.base_url}'}}]"
        config = models(extra=both, large=one.base_url) + "policies: [{name: default, safe_model: large}]\n"
        async with serving(tmp_path, config) as gateway:
            for n in range(1, 7):
                await gateway.chat(messages=turns(n))
            assert sorted((len(one.asked), len(other.asked))) == [0, 6]
