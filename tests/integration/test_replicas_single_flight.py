"""Identical requests at once on two replicas: upstream is asked once, also where who asked is killed."""

import asyncio
import json
from pathlib import Path

import httpx

from tests.gateway_process import spillway
from tests.gateway_server import HELLO, OBSERVING, models
from tests.replicas import Replica, replicas, until
from tests.upstream import BadUpstream, Behaviour, Exchange, answer

EACH = 5
WAITED = 'spillway_cache_waits_total{policy="default",result="answered"}'


async def under_way(count: int, *among: Replica) -> None:
    """Return once they have so many requests."""

    async def so_many() -> bool:
        # the question itself is one of each
        return sum([await replica.gauge("spillway_requests_in_flight") - 1 for replica in among]) >= count

    await until(so_many)


def held(answering: asyncio.Event, text: str = "forty-two") -> Behaviour:
    """An upstream that answers once it is told to."""

    async def behave(exchange: Exchange) -> None:
        await answering.wait()
        await answer(text)(exchange)

    return behave


async def test_of_many_alike_on_two_replicas_one_asks_and_all_are_answered_and_recorded(tmp_path: Path) -> None:
    async with BadUpstream() as upstream:
        answering = asyncio.Event()
        upstream.will(held(answering))
        async with replicas(tmp_path, models(large=upstream.base_url), OBSERVING) as (one, two):
            first = asyncio.create_task(one.chat())
            await upstream.reached(1)
            rest = [asyncio.create_task(replica.chat()) for replica in (one, two) for _ in range(EACH)]
            streamed = asyncio.create_task(two.chat(stream=True))
            fresh = asyncio.create_task(
                two.http.post(
                    "/v1/chat/completions",
                    json={"model": "auto", "messages": HELLO, "temperature": 0},
                    headers={"x-spillway-cache-control": "no-cache"},
                )
            )
            await upstream.reached(2)  # who wants no kept answer waits for nobody
            await under_way(2 * EACH + 3, one, two)
            answering.set()
            assert (await first).headers["x-spillway-cache"] == "MISS"
            assert (await fresh).headers["x-spillway-cache"] == "MISS"
            for told in [*await asyncio.gather(*rest), await streamed]:
                assert (told.status_code, told.headers["x-spillway-cache"]) == (200, "HIT")
                assert "forty-two" in told.text
            assert len(upstream.asked) == 2
            waits = [await replica.gauge(WAITED) for replica in (one, two)]
            assert all(0 < count <= EACH + 1 for count in waits)
            for replica in (one, two):
                replica.process.terminate()
                replica.process.wait(60)
            total = json.loads(spillway("spend", "--json", folder=tmp_path).stdout)["total"]
        assert (total["requests"], total["cache_hits"], total["attempts"]) == (2 * EACH + 3, 2 * EACH + 1, 2)


async def test_where_the_one_that_asked_is_killed_one_of_the_others_asks(tmp_path: Path) -> None:
    async with BadUpstream() as upstream:
        answering = asyncio.Event()
        upstream.will(held(asyncio.Event()), held(answering))
        async with replicas(tmp_path, models(large=upstream.base_url), OBSERVING) as (one, two):
            first = asyncio.create_task(one.chat())
            await upstream.reached(1)
            rest = [asyncio.create_task(two.chat()) for _ in range(EACH)]
            await under_way(EACH, two)
            one.process.kill()
            await asyncio.wait({first})
            assert isinstance(first.exception(), httpx.TransportError)
            async with asyncio.timeout(30):  # of which the lease takes three at most
                await upstream.reached(2)
                answering.set()
                told = await asyncio.gather(*rest)
            assert [response.status_code for response in told] == [200] * EACH
            hits = [response.headers["x-spillway-cache"] for response in told]
            assert sorted(hits) == ["HIT"] * (EACH - 1) + ["MISS"]
            assert len(upstream.asked) == 2


async def test_an_answer_that_may_not_be_kept_holds_nobody_up(tmp_path: Path) -> None:
    tool = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    async with BadUpstream() as upstream:
        answering = asyncio.Event()

        async def behave(exchange: Exchange) -> None:
            await answering.wait()
            await answer(None, tool_calls=[tool])(exchange)

        upstream.will(behave, answer(None, tool_calls=[tool]))
        async with replicas(tmp_path, models(large=upstream.base_url), OBSERVING) as (one, two):
            first = asyncio.create_task(one.chat())
            await upstream.reached(1)
            rest = [asyncio.create_task(replica.chat()) for replica in (one, two) for _ in range(EACH)]
            await under_way(2 * EACH + 1, one, two)
            answering.set()
            told = [await first, *await asyncio.gather(*rest)]
            assert {(response.status_code, response.headers["x-spillway-cache"]) for response in told} == {
                (200, "MISS")
            }
            assert len(upstream.asked) == 2 * EACH + 1
