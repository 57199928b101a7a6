"""What a self-hosted server silently does without is found out, written down, and relied on by nobody."""

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from gateway.config.check import load_settings
from gateway.experts.prober import is_probed, sites_of
from gateway.ledger.tables import attempts, settlements
from router.experts.questions import QUESTIONS
from tests.databases import rows_of
from tests.experts import expert
from tests.gateway_process import spillway
from tests.gateway_server import CASCADE, OBSERVING, serving, written
from tests.probed import known, look_round, pool
from tests.upstream import BadUpstream, nobody_there


async def test_no_request_gets_from_a_pool_what_it_silently_drops(tmp_path: Path) -> None:
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(expert(drops=("logprobs", "n", "json_schema")))
        large.will(expert())
        models = "models:\n" + pool("small", small.base_url, ", probe: true") + pool("large", large.base_url)
        async with serving(tmp_path, models, CASCADE) as gateway:
            await known(gateway, "small", {"logprobs", "n", "json_schema"})
            assert len(small.asked) > len(QUESTIONS)  # looks are calls too, and cost nothing
            async with asyncio.timeout(20):
                while (await gateway.chat("small", logprobs=True)).status_code != 400:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)  # until the gateway has read what it found
            refused = await gateway.chat("small", n=2)
            assert refused.json()["error"]["code"] == "unsupported_by_every_tier"
            assert "was seen to do without n" in refused.json()["error"]["message"]
            shape = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
            for wish in ({"logprobs": True}, {"n": 2}, {"response_format": shape}):
                answered = await gateway.chat("auto", max_tokens=8, **wish)
                assert answered.headers["x-spillway-model"] == "large", wish
            assert (await gateway.chat("small", max_tokens=8)).status_code == 200


async def test_every_question_is_in_the_ledger_and_several_processes_ask_once(tmp_path: Path) -> None:
    async with BadUpstream() as upstream:
        upstream.will(expert())
        models = "models:\n" + pool("large", upstream.base_url, ", probe: true")
        async with serving(tmp_path, models, OBSERVING) as gateway, serving(tmp_path, models, OBSERVING) as other:
            await known(gateway, "large", set())
            await look_round(other, tmp_path)
            asked = [asked for asked in upstream.asked if asked.path.endswith("/chat/completions")]
            assert len(asked) == len(QUESTIONS)
            made = await rows_of(gateway.database, attempts)
            assert Counter(row["kind"] for row in made) == {"probe": len(QUESTIONS)}
            assert {row["attempt_id"] for row in made} == {each.headers["x-spillway-attempt"] for each in asked}
            async with asyncio.timeout(20):  # settlements come in groups, a moment after
                while len(settled := await rows_of(gateway.database, settlements)) < len(QUESTIONS):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            assert all(row["amount_nanousd"] > 0 for row in settled)
            assert len(settled) == len(QUESTIONS)
            upstream.will(expert(context_tokens=1024, drops=("tools",)))  # another model has moved in
            await look_round(gateway, tmp_path)
            await known(gateway, "large", {"tools"}, probed=2)
            upstream.will(expert())  # and the first is back: what was found of it holds again, and nothing is asked
            asked_before = sum(each.path.endswith("/chat/completions") for each in upstream.asked)
            await look_round(gateway, tmp_path)
            await known(gateway, "large", set(), probed=2)
            assert sum(each.path.endswith("/chat/completions") for each in upstream.asked) == asked_before


@pytest.mark.parametrize("drops", [(), ("logprobs", "stream_usage")])
async def test_the_command_says_what_is_missing_and_keeps_it(tmp_path: Path, drops: tuple[str, ...]) -> None:
    async with BadUpstream() as upstream:
        upstream.will(expert(drops=drops))
        written(tmp_path, "models:\n" + pool("large", upstream.base_url), OBSERVING)
        ended = await asyncio.to_thread(lambda: spillway("backends", "probe", "large", folder=tmp_path))
        assert ended.returncode == (1 if drops else 0), ended.stderr
        assert ended.stdout.startswith("large, deployment 1: vllm, context 32768, counts tokens\n")
        for name in drops:
            assert f"  no      {name}" in ended.stdout
        shown = await asyncio.to_thread(lambda: spillway("backends", "show", "--json", folder=tmp_path))
        told: list[dict[str, Any]] = json.loads(shown.stdout)
        assert told[0]["lacks"] == (", ".join(sorted(drops)) or "-")
        spent = await asyncio.to_thread(lambda: spillway("spend", "--by", "kind", "--json", folder=tmp_path))
        assert json.loads(spent.stdout)["total"]["attempts"] == len(QUESTIONS)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nobody", "has no model 'nobody'; there are large, played"),
        ("played", "only chat models with backend"),
        ("large", "large: "),
    ],
)
def test_what_cannot_be_probed_is_said(tmp_path: Path, name: str, said: str) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text("")
    models = "models:\n" + pool("large", nobody_there()) + "  - {name: played, backend: recorded, log: [log.jsonl]}\n"
    written(tmp_path, models, OBSERVING)
    ended = spillway("backends", "probe", name, folder=tmp_path)
    assert ended.returncode == 1
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_who_is_probed_unasked(tmp_path: Path) -> None:
    own = ", gpu_usd_per_hour: 2, provider: us"
    models = pool("plain", "http://127.0.0.1:1/v1") + pool("asked", "http://127.0.0.1:1/v1", ", probe: true")
    models += pool("own", "http://127.0.0.1:1/v1", own) + pool("left", "http://127.0.0.1:1/v1", f"{own}2, probe: false")
    written(tmp_path, "models:\n" + models, "policies: [{name: default, safe_model: plain}]\n")
    settings = load_settings(tmp_path / "spillway.yaml", env={})
    assert [model.name for model in settings.models if is_probed(model)] == ["asked", "own"]
    assert [len(list(sites_of(settings, model))) for model in settings.models] == [1, 1, 1, 1]


async def test_an_engine_that_others_keep_busy_is_passed_by(tmp_path: Path) -> None:
    busy = {"waiting": 0}
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(expert(load=lambda: (4, busy["waiting"])))
        large.will(expert())
        watched = ", probe: true, load: {every_s: 0.25, most_waiting: 1}"
        models = "models:\n" + pool("small", small.base_url, watched) + pool("large", large.base_url)
        async with serving(tmp_path, models, CASCADE, threshold=0.1) as gateway:

            async def answers(model: str) -> None:
                async with asyncio.timeout(20):
                    while (await gateway.chat("auto", max_tokens=8)).headers["x-spillway-model"] != model:  # noqa: ASYNC110
                        await asyncio.sleep(0.05)

            await answers("small")
            busy["waiting"] = 2
            await answers("large")
            metrics = (await gateway.http.get("/metrics")).text
            assert 'spillway_engine_requests_waiting{deployment="1",model="small"} 2.0' in metrics
            assert 'spillway_tier_passed_by_total{model="small"} 1.0' in metrics
            busy["waiting"] = 0
            await answers("small")
