"""Two gateways, one PostgreSQL, one Redis: what one has answered the other need not ask again."""

import json
import socket
from pathlib import Path
from typing import Any

from tests.gateway_process import spillway
from tests.gateway_server import OBSERVING, models
from tests.replicas import replicas
from tests.upstream import BadUpstream, answer


def total(folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(spillway("spend", "--json", folder=folder).stdout)["total"]
    return told


async def test_an_answer_of_one_replica_is_a_hit_on_the_other(tmp_path: Path) -> None:
    async with BadUpstream() as upstream:
        upstream.will(answer("forty-two"))
        async with replicas(tmp_path, models(large=upstream.base_url), OBSERVING) as (one, two):
            first = await one.chat()
            assert (first.status_code, first.headers["x-spillway-cache"]) == (200, "MISS")
            for replica in (two, one, two):
                again = await replica.chat()
                assert (again.status_code, again.headers["x-spillway-cache"]) == (200, "HIT")
                assert again.json()["choices"] == first.json()["choices"]
                assert again.headers["x-spillway-cost-usd"] == "0"
            streamed = await two.chat(stream=True)
            assert streamed.headers["x-spillway-cache"] == "HIT"
            assert "forty-two" in streamed.text
            other = await two.chat(messages=[{"role": "user", "content": "another question"}])
            assert other.headers["x-spillway-cache"] == "MISS"
            assert (await two.chat(temperature=1)).headers["x-spillway-cache"] == "DISABLED"
            assert len(upstream.asked) == 3
            for replica in (one, two):
                replica.process.terminate()
                replica.process.wait(60)
            told = total(tmp_path)
        assert (told["requests"], told["cache_hits"], told["accepted"]) == (7, 4, 3)


async def test_without_redis_every_look_is_a_miss_and_nothing_fails(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        nobody = f"redis://127.0.0.1:{server.getsockname()[1]}/0"
    async with BadUpstream() as upstream:
        there = (models(large=upstream.base_url), OBSERVING)
        async with replicas(tmp_path, *there, redis_url=nobody) as (one, two):
            told = [await replica.chat() for replica in (one, two, one, two)]
            assert [response.status_code for response in told] == [200] * 4
            assert [response.headers["x-spillway-cache"] for response in told] == ["MISS", "MISS", "HIT", "HIT"]
            assert await one.gauge("spillway_redis_away") == 1
            assert await one.gauge("spillway_redis_unanswered_total") > 0
