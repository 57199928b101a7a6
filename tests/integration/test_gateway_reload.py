"""A changed configuration under streaming load, in a process of its own: by SIGHUP and by the admin API."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.gateway_process import served, spillway, stuttering
from tests.gateway_server import HELLO, OBSERVING, models, serving, written
from tests.upstream import BadUpstream, answer

TOKEN = "an-operators-token-of-some-length"
OPEN = "auth: {required: false}\n" + f"admin: {{token: {TOKEN}}}\n"
ADMIN = {"authorization": f"Bearer {TOKEN}"}
PATIENCE_S = 30.0


async def stream(http: httpx.AsyncClient, begun: asyncio.Event) -> list[str]:
    body = {"model": "auto", "messages": HELLO, "stream": True, "stream_options": {"include_usage": True}}
    async with http.stream("POST", "/v1/chat/completions", json=body) as response:
        lines = []
        async for line in response.aiter_lines():
            lines += [line] if line else []
            begun.set()
        return lines


async def chat(http: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    return await http.post("/v1/chat/completions", json={"model": "auto", "messages": HELLO} | fields)


async def gauge(http: httpx.AsyncClient, name: str) -> float:
    text = (await http.get("/metrics")).text
    return next(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name + " "))


async def until(seen: Callable[[], Any]) -> Any:
    ends = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends:
        found = await seen()
        if found:
            return found
        await asyncio.sleep(0.02)  # between two looks at another process
    raise AssertionError("it did not come about")


@asynccontextmanager
async def a_process(folder: Path, *sections: str) -> AsyncGenerator[tuple[Any, httpx.AsyncClient]]:
    written(folder, *sections)
    with served(folder) as (process, url):
        async with httpx.AsyncClient(base_url=url, timeout=60) as http:
            yield process, http


async def test_streams_under_way_end_with_what_they_began_with(tmp_path: Path) -> None:
    """Twenty streams to the old model, at the old price, go on; what comes after SIGHUP goes to the new one."""
    async with stuttering() as (old, carry_on), BadUpstream() as new:
        new.will(answer("from the new one"))
        async with a_process(tmp_path, models(large=old.base_url), OBSERVING, OPEN) as (process, http):
            begun = [asyncio.Event() for _ in range(20)]
            streams = [asyncio.create_task(stream(http, one)) for one in begun]
            await asyncio.gather(*(one.wait() for one in begun))
            changed = models(large=new.base_url).replace("{input_usd_per_mtok: 1,", "{input_usd_per_mtok: 7,")
            written(tmp_path, changed, OBSERVING, OPEN)
            process.send_signal(signal.SIGHUP)
            await until(lambda: gauge(http, 'spillway_config_reloads_total{result="applied"}'))

            response = await chat(http)
            assert response.json()["choices"][0]["message"]["content"] == "from the new one"
            assert response.headers["x-spillway-cost-usd"] == "0.00009"  # 10 tokens at 7, and 2 at 10 USD a million
            assert await gauge(http, "spillway_configs_in_use") == 2
            carry_on.set()
            ended = await asyncio.gather(*streams)
            assert [lines[-1] for lines in ended] == ["data: [DONE]"] * 20
            assert len(old.asked) == 20
            assert await until(lambda: _is(gauge(http, "spillway_configs_in_use"), 1))
            process.terminate()
            assert await asyncio.to_thread(process.wait, 60) == 0
    told = json.loads(spillway("spend", "--json", folder=tmp_path).stdout)["total"]
    assert (told["accepted"], told["open"]) == (21, 0)


async def _is(value: Any, wanted: float) -> bool:
    return bool(await value == wanted)


async def test_a_broken_file_is_refused_by_line_and_field_and_the_old_one_serves_on(tmp_path: Path) -> None:
    async with BadUpstream() as upstream:
        right = (models(large=upstream.base_url), OBSERVING, OPEN)
        async with a_process(tmp_path, *right) as (_, http):
            path = written(tmp_path, models(large=upstream.base_url), "policies: [{name: p, safe_model: lrge}]\n", OPEN)
            line = 1 + next(n for n, text in enumerate(path.read_text().splitlines()) if "lrge" in text)
            refused = await http.post("/admin/reload", headers=ADMIN)
            assert refused.status_code == 422
            error = refused.json()["error"]
            assert (error["code"], error["param"]) == ("config_refused", "policies[0].safe_model")
            assert f"spillway.yaml, line {line}: policies[0].safe_model: there is no model 'lrge'" in error["message"]
            assert "did you mean 'large'?" in error["message"]

            assert (await chat(http)).status_code == 200
            assert await gauge(http, "spillway_config_refused") == 1
            assert await gauge(http, 'spillway_config_reloads_total{result="refused"}') == 1
            told = (await http.get("/admin/config", headers=ADMIN)).json()
            assert told["refused"] is not None
            assert (told["problems"][0]["line"], told["problems"][0]["field"]) == (line, "policies[0].safe_model")

            written(tmp_path, *right)
            mended = await http.post("/admin/reload", headers=ADMIN)
            assert (mended.status_code, mended.json()["changed"]) == (200, [])
            assert await gauge(http, "spillway_config_refused") == 0
            assert (await http.get("/admin/config", headers=ADMIN)).json()["problems"] == []


BREAKAGES = {
    "not YAML": "models: [",
    "nothing at all": "",
    "an unknown field": "serverr: {}\n",
    "a strategy that is no strategy": "policies: [{name: default, safe_model: large, strategy: spillway.yaml}]\n",
    "a scorer that is none": "policies: [{name: default, safe_model: large, scorer: scorer}]\n",
    "prices that are none": "prices: spillway.yaml\n" + OBSERVING,
    "a variable that is not set": "default_policy: ${NOBODY_SET_THIS_ONE}\n" + OBSERVING,
}


@pytest.mark.parametrize("broken", BREAKAGES.values(), ids=BREAKAGES.keys())
async def test_whatever_is_wrong_nothing_changes(broken: str, tmp_path: Path) -> None:
    def no_scorer(_folder: Path) -> Any:
        raise ZeroDivisionError  # a defect in the loading of an artifact is no reason to stop either

    async with BadUpstream() as upstream:
        large = models(large=upstream.base_url)
        async with serving(tmp_path, large, OBSERVING, OPEN, load_scorer=no_scorer) as gateway:
            alone = broken in ("", "models: [")
            written(tmp_path, broken if alone else large + OPEN + broken)
            response = await gateway.http.post("/admin/reload", headers=ADMIN)
            assert (response.status_code, response.json()["error"]["code"]) == (422, "config_refused")
            assert "spillway.yaml" in response.json()["error"]["message"]
            assert (await gateway.chat()).status_code == 200


async def test_models_policies_prices_and_limits_are_those_of_the_new_file(tmp_path: Path) -> None:
    async with BadUpstream() as first, BadUpstream() as second:
        first.will(answer("0.9"))
        second.will(answer("0.9"))
        server = "server: {max_messages: 5}\n"
        async with serving(tmp_path, models(large=first.base_url), OBSERVING, OPEN, server) as gateway:
            assert (await gateway.chat(temperature=0)).headers["x-spillway-cache"] == "MISS"
            assert (await gateway.chat(temperature=0)).headers["x-spillway-cache"] == "HIT"

            cascade = "policies: [{name: other, safe_model: large, strategy: strategy.json, scorer: scorer}]\n"
            both = models(small=first.base_url, large=second.base_url)
            written(tmp_path, both, cascade, OPEN.replace(TOKEN, TOKEN + "-2"), "server: {max_messages: 1}\n")
            done = (await gateway.http.post("/admin/reload", headers=ADMIN)).json()
            assert done["changed"] == [
                *("admin.token", "models.large", "models.small"),
                *("policies.default", "policies.other", "server.max_messages"),
            ]
            assert done["restart_needed"] == []

            names = [one["id"] for one in (await gateway.http.get("/v1/models")).json()["data"]]
            assert names == ["auto", "cascade/other", "small", "large"]
            answered = await gateway.chat()
            assert (answered.headers["x-spillway-policy"], answered.headers["x-spillway-model"]) == ("other", "small")
            gone = await gateway.chat("cascade/default")
            assert (gone.status_code, gone.json()["error"]["code"]) == (404, "model_not_found")
            long = await gateway.chat(messages=HELLO * 2)
            assert long.json()["error"]["code"] == "too_many_messages"
            assert (await gateway.http.get("/admin/config", headers=ADMIN)).status_code == 401
            renewed = {"authorization": f"Bearer {TOKEN}-2"}
            assert (await gateway.http.get("/admin/config", headers=renewed)).status_code == 200


async def test_a_kept_answer_of_another_upstream_is_not_served(tmp_path: Path) -> None:
    async with BadUpstream() as first, BadUpstream() as second:
        second.will(answer("from elsewhere"))
        async with serving(tmp_path, models(large=first.base_url), OBSERVING, OPEN) as gateway:
            await gateway.chat(temperature=0)
            written(tmp_path, models(large=second.base_url), OBSERVING, OPEN)
            await gateway.http.post("/admin/reload", headers=ADMIN)
            response = await gateway.chat(temperature=0)
            assert response.headers["x-spillway-cache"] == "MISS"
            assert response.json()["choices"][0]["message"]["content"] == "from elsewhere"


async def test_the_breaker_of_a_model_that_did_not_change_stays_open(tmp_path: Path) -> None:
    async with BadUpstream() as upstream:
        sick = models(large=upstream.base_url, extra="breaker: {failures: 1, pause_s: 600}")
        async with serving(tmp_path, sick, OBSERVING, OPEN) as gateway:
            upstream.will(answer("0.9"))
            assert (await gateway.chat()).status_code == 200
            await upstream.__aexit__()
            assert (await gateway.chat()).status_code == 502
            written(
                tmp_path,
                sick.replace("price: {input_usd_per_mtok: 1,", "price: {input_usd_per_mtok: 2,"),
                OBSERVING,
                OPEN,
            )
            done = (await gateway.http.post("/admin/reload", headers=ADMIN)).json()
            assert done["changed"] == ["models.large"]
            refused = await gateway.chat()
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "upstream_unavailable")


async def test_what_needs_a_restart_is_named_and_does_not_change(tmp_path: Path) -> None:
    async with BadUpstream() as upstream:
        sections = (models(large=upstream.base_url), OBSERVING)
        async with serving(tmp_path, *sections, OPEN) as gateway:
            later = "server: {port: 1234, request_timeout_s: 61}\ndatabase: {url: 'sqlite+aiosqlite:///other.db'}\n"
            written(tmp_path, *sections, OPEN, later + "cache: {max_entries: 3}\n")
            done = (await gateway.http.post("/admin/reload", headers=ADMIN)).json()
            assert done["changed"] == ["server.request_timeout_s"]
            assert done["restart_needed"] == ["server.port", "database", "cache"]
            assert await gauge(gateway.http, "spillway_config_restart_needed") == 3
            told = (await gateway.http.get("/admin/config", headers=ADMIN)).json()
            assert told["restart_needed"] == done["restart_needed"]
            assert not (tmp_path / "other.db").exists()


async def test_only_the_operator_reloads(tmp_path: Path) -> None:
    keys = f"admin: {{token: {TOKEN}}}\n"
    async with (
        BadUpstream() as upstream,
        serving(tmp_path, models(large=upstream.base_url), OBSERVING, keys) as gateway,
    ):
        made = await gateway.http.post("/admin/keys", json={"name": "boss", "role": "admin"}, headers=ADMIN)
        boss = {"authorization": f"Bearer {made.json()['secret']}"}
        for method, path in (("POST", "/admin/reload"), ("GET", "/admin/config")):
            assert (await gateway.http.request(method, path, headers=boss)).status_code == 403
            assert (await gateway.http.request(method, path, headers={"authorization": ""})).status_code == 401
