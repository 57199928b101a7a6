"""One Idempotency-Key, one payment: replays, conflicts, clients that go, processes that die."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anthropic
import httpx
import pytest

from gateway.config.check import load_settings
from gateway.database import Database
from gateway.keys import KeyStore
from tests.gateway_process import served
from tests.gateway_server import HELLO, OBSERVING, Running, models, serving, written
from tests.upstream import BadUpstream, Behaviour, Exchange, answer, hang, status
from tests.wire import chunk_of, event

KEY = {"idempotency-key": "order 7"}
CHAT: dict[str, Any] = {"model": "auto", "messages": HELLO}
SAID: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": CHAT | {"stream_options": {"include_usage": True}},
    "/v1/responses": {"model": "auto", "input": "hello"},
    "/v1/messages": CHAT | {"max_tokens": 10},
    "/v1/completions": {"model": "auto", "prompt": "hello"},
}


@asynccontextmanager
async def observing(folder: Path, *behaviours: Behaviour, more: str = "") -> AsyncIterator[tuple[Running, BadUpstream]]:
    async with BadUpstream() as upstream:
        upstream.will(*behaviours)
        async with serving(folder, models(large=upstream.base_url, extra="retries: {most: 0}"), OBSERVING, more) as it:
            yield it, upstream


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", SAID)
async def test_a_repetition_gets_the_same_answer_and_costs_nothing(tmp_path: Path, path: str, stream: bool) -> None:
    body = {name: value for name, value in SAID[path].items() if stream or name != "stream_options"}
    body |= {"stream": True} if stream else {}
    async with observing(tmp_path, answer("one"), answer("two")) as (gateway, upstream):
        first = await gateway.http.post(path, json=body, headers=KEY)
        again = await gateway.http.post(path, json=body, headers=KEY)
        assert (first.status_code, again.status_code) == (200, 200)
        assert "x-spillway-replayed" not in first.headers
        assert again.headers["x-spillway-replayed"] == "true"
        assert again.headers["x-spillway-decision-id"] == first.headers["x-spillway-decision-id"]
        assert len(upstream.asked) == 1
        if stream:
            assert again.headers["content-type"] == first.headers["content-type"]
            assert said(again.text) == said(first.text) == "one"
        else:
            assert again.json() == first.json()
        other = await gateway.http.post(path, json=body, headers={"idempotency-key": "order 8"})
        assert (said(other.text) == "two") if stream else ("two" in other.text)
        assert len(upstream.asked) == 2


def said(events: str) -> str:
    """The text of a stream of any dialect."""
    text = ""
    for line in events.splitlines():
        if not line.startswith("data: {"):
            continue
        told = json.loads(line.removeprefix("data: "))
        for choice in told.get("choices") or ():
            text += choice.get("text") or (choice.get("delta") or {}).get("content") or ""
        delta = told.get("delta")
        text += delta if isinstance(delta, str) else (delta or {}).get("text") or ""
    return text


async def test_a_replayed_stream_is_one_to_its_client(tmp_path: Path) -> None:
    async with observing(tmp_path, answer("one")) as (gateway, upstream):
        client = anthropic.AsyncAnthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0)
        for _ in range(2):
            async with client.messages.stream(model="auto", max_tokens=10, messages=HELLO, extra_headers=KEY) as stream:
                assert (await stream.get_final_message()).content[0].text == "one"  # type: ignore[union-attr]
        assert len(upstream.asked) == 1


async def test_the_same_key_with_another_request_is_refused_by_name(tmp_path: Path) -> None:
    async with observing(tmp_path, answer("one")) as (gateway, upstream):
        await gateway.http.post("/v1/chat/completions", json=CHAT, headers=KEY)
        for path, body, headers in (
            ("/v1/chat/completions", CHAT | {"seed": 1}, {}),
            ("/v1/chat/completions", CHAT, {"x-spillway-quality": "0.9"}),
            ("/v1/messages", SAID["/v1/messages"], {}),
        ):
            refused = await gateway.http.post(path, json=body, headers=KEY | headers)
            assert refused.status_code == 422
            assert "Idempotency-Key came with another request" in refused.text
        assert len(upstream.asked) == 1
        for bad in ("", "x" * 256, "a\tb"):
            wrong = await gateway.http.post("/v1/chat/completions", json=CHAT, headers={"idempotency-key": bad})
            assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "Idempotency-Key")


async def test_another_virtual_key_has_keys_of_its_own(tmp_path: Path) -> None:
    async with observing(tmp_path, answer("one"), answer("two")) as (gateway, upstream):
        await gateway.http.post("/v1/chat/completions", json=CHAT, headers=KEY)
        _, other = await KeyStore(gateway.database).create("other")
        headers = KEY | {"authorization": f"Bearer {other}"}
        found = await gateway.http.post("/v1/chat/completions", json=CHAT | {"seed": 2}, headers=headers)
        assert (found.status_code, len(upstream.asked)) == (200, 2)


async def test_a_repetition_waits_for_the_first_to_end(tmp_path: Path) -> None:
    gate = asyncio.Event()

    async def late(exchange: Exchange) -> None:
        await gate.wait()
        await answer("one")(exchange)

    async with observing(tmp_path, late) as (gateway, upstream):
        asking = [
            asyncio.create_task(gateway.http.post("/v1/chat/completions", json=CHAT, headers=KEY)) for _ in range(5)
        ]
        await upstream.reached(1)
        await asyncio.sleep(0.2)
        gate.set()
        found = await asyncio.gather(*asking)
        assert [one.status_code for one in found] == [200] * 5
        assert len({one.json()["id"] for one in found}) == len(upstream.asked) == 1


async def test_a_failure_is_not_kept(tmp_path: Path) -> None:
    async with observing(tmp_path, status(500), answer("two")) as (gateway, upstream):
        failed = await gateway.http.post("/v1/chat/completions", json=CHAT, headers=KEY)
        assert (failed.status_code, failed.headers["x-should-retry"]) == (502, "false")
        again = await gateway.http.post("/v1/chat/completions", json=CHAT, headers=KEY)
        assert (again.status_code, len(upstream.asked)) == (200, 2)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_goes_finds_its_answer_when_it_comes_back(tmp_path: Path, stream: bool) -> None:
    gate = asyncio.Event()
    body = CHAT | {"stream": stream}

    async def slow(exchange: Exchange) -> None:
        if not exchange.asked.streams:
            await gate.wait()
            await answer("one")(exchange)
            return
        await exchange.head(200, {"content-type": "text/event-stream"})
        await exchange.send(event(chunk_of({"role": "assistant", "content": "on"})))
        await gate.wait()
        await exchange.send(event(chunk_of({"content": "e"})) + event(chunk_of({}, finish_reason="stop")))
        await exchange.send(b"data: [DONE]\n\n")
        await exchange.end()

    async with observing(tmp_path, slow) as (gateway, upstream):
        with pytest.raises(httpx.ReadTimeout):
            await gateway.http.post("/v1/chat/completions", json=body, headers=KEY, timeout=0.3)
        gate.set()
        again = await gateway.http.post("/v1/chat/completions", json=body, headers=KEY)
        assert said(again.text) == "one" if stream else again.json()["choices"][0]["message"]["content"] == "one"
        assert (len(upstream.asked), upstream.asked[0].hung_up.is_set()) == (1, False)
        closed = await gateway.closed(again.headers["x-spillway-decision-id"])
        assert (closed.status, len(closed.attempts)) == ("answered", 1)


async def test_an_answer_that_is_too_large_is_not_bought_again(tmp_path: Path) -> None:
    more = "idempotency: {max_bytes: 1024}\n"
    async with observing(tmp_path, answer("x" * 2000), more=more) as (gateway, upstream):
        assert (await gateway.http.post("/v1/chat/completions", json=CHAT, headers=KEY)).status_code == 200
        again = await gateway.http.post("/v1/chat/completions", json=CHAT, headers=KEY)
        assert (again.status_code, again.json()["error"]["code"]) == (409, "idempotency_answer_not_kept")
        assert again.headers["x-should-retry"] == "false"
        assert len(upstream.asked) == 1


async def test_answers_expire(tmp_path: Path) -> None:
    async with observing(tmp_path, answer("one"), answer("two"), more="idempotency: {ttl_s: 0.2}\n") as (gateway, _):
        await gateway.http.post("/v1/chat/completions", json=CHAT, headers=KEY)
        await asyncio.sleep(0.25)
        assert "two" in (await gateway.http.post("/v1/chat/completions", json=CHAT, headers=KEY)).text


async def test_a_process_that_dies_in_the_middle_makes_nobody_pay_twice(tmp_path: Path) -> None:
    """Killed while the call is under way. Another process gives no answer, and asks no model, until a new key comes."""
    async with BadUpstream() as upstream:
        upstream.will(hang("before_headers"), answer("two"))
        server = "server: {request_timeout_s: 1, drain_s: 0}\n"
        path = written(tmp_path, models(large=upstream.base_url), OBSERVING, server)
        database = Database(load_settings(path, env={}).database_url)
        await database.migrate()
        _, key = await KeyStore(database).create("tests")
        await database.dispose()
        headers = KEY | {"authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(timeout=30, headers=headers) as http:
            with served(tmp_path) as (process, url):
                asking = asyncio.create_task(http.post(f"{url}/v1/chat/completions", json=CHAT))
                await upstream.reached(1)
                began = time.monotonic()
                process.kill()
                with pytest.raises(httpx.HTTPError):
                    await asking
            with served(tmp_path) as (process, url):
                again = await http.post(f"{url}/v1/chat/completions", json=CHAT)
                assert (again.status_code, again.json()["error"]["code"]) == (409, "idempotency_outcome_unknown")
                assert time.monotonic() - began > 0.9  # the lease of the one that died
                assert len(upstream.asked) == 1
                fresh = await http.post(
                    f"{url}/v1/chat/completions", json=CHAT, headers={"idempotency-key": "order 7, again"}
                )
                assert (fresh.status_code, len(upstream.asked)) == (200, 2)
