"""When a stream's first word goes out, in each mode, as its client sees it."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import ConfigError
from tests.gateway_server import CASCADE, HELLO, NumberScorer, models, serving
from tests.upstream import BadUpstream, Exchange, answer
from tests.wire import chunk_of, event

MODE = "policies: [{{name: default, safe_model: large, strategy: strategy.json, scorer: scorer, streaming: {mode}}}]\n"
VERIFIED = ", streaming: prefix, verifiers: [{name: v, kind: json_schema}]}]"
LONG = "It is 0.95, I am sure, and I go on about it."


async def streamed(gateway: Any, **fields: Any) -> tuple[dict[str, str], str, str]:
    """Headers, text, and the raw events."""
    body = {"model": "auto", "messages": HELLO, "stream": True} | fields
    response = await gateway.http.post("/v1/chat/completions", json=body)
    assert response.status_code == 200, response.text
    text = ""
    for line in response.text.splitlines():
        if line.startswith("data: {"):
            for choice in json.loads(line[6:])["choices"]:
                text += choice["delta"].get("content") or ""
    return dict(response.headers), text, response.text


async def test_prefix_lets_a_good_beginning_go_while_the_rest_is_still_to_come(tmp_path: Path) -> None:
    rest = asyncio.Event()

    async def slowly(exchange: Exchange) -> None:
        await exchange.head(200, {"content-type": "text/event-stream"})
        await exchange.send(event(chunk_of({"role": "assistant", "content": LONG[:25]})))
        await rest.wait()
        await exchange.send(event(chunk_of({"content": LONG[25:]})) + event(chunk_of({}, finish_reason="stop")))
        await exchange.send(b"data: [DONE]\n\n")
        await exchange.end()

    async with BadUpstream() as small, BadUpstream() as large:
        small.will(slowly)
        config = models(small=small.base_url, large=large.base_url) + MODE.format(mode="prefix")
        async with serving(tmp_path, config, release=0.9) as gateway:
            body = {"model": "auto", "messages": HELLO, "stream": True}
            async with gateway.http.stream("POST", "/v1/chat/completions", json=body) as response:
                assert response.headers["x-spillway-model"] == "small"
                assert response.headers["x-spillway-streaming"] == "prefix"
                lines = response.aiter_lines()
                first = await anext(lines)
                assert LONG[:25] in first
                rest.set()  # the upstream had not said more when the client had this
                others = [line async for line in lines if line]
            assert others[-1] == "data: [DONE]"
            decision = await gateway.closed(response.headers["x-spillway-decision-id"])
            assert (decision.stop_reason, [a.model for a in decision.attempts]) == ("released", ["small"])
            assert (decision.attempts[0].score, decision.attempts[0].threshold) == (0.95, 0.9)
            assert large.asked == []


async def test_prefix_escalates_before_anything_is_sent(tmp_path: Path) -> None:
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(answer("I would say 0.30 but I am not sure of it at all."))
        large.will(answer("0.99"))
        config = models(small=small.base_url, large=large.base_url) + MODE.format(mode="prefix")
        async with serving(tmp_path, config, release=0.9) as gateway:
            headers, text, raw = await streamed(gateway)
            assert (headers["x-spillway-model"], text) == ("large", "0.99")
            assert "0.30" not in raw


async def test_tool_calls_are_judged_before_they_are_released(tmp_path: Path) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}

    async def words_then_call(exchange: Exchange) -> None:
        await exchange.head(200, {"content-type": "text/event-stream"})
        await exchange.send(event(chunk_of({"role": "assistant", "tool_calls": [call | {"index": 0}]})))
        await exchange.send(event(chunk_of({"content": LONG})) + event(chunk_of({}, finish_reason="tool_calls")))
        await exchange.send(b"data: [DONE]\n\n")
        await exchange.end()

    async with BadUpstream() as small, BadUpstream() as large:
        small.will(words_then_call)
        config = models(small=small.base_url, large=large.base_url) + MODE.format(mode="prefix")
        async with serving(tmp_path, config, release=0.9) as gateway:
            headers, _, _ = await streamed(gateway)
            assert headers["x-spillway-stop-reason"] == "accepted"  # known before the stream began


async def test_a_plain_request_of_a_prefix_policy_is_judged_whole(tmp_path: Path) -> None:
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(answer(LONG))
        config = models(small=small.base_url, large=large.base_url) + MODE.format(mode="prefix")
        async with serving(tmp_path, config, release=0.9) as gateway:
            found = await gateway.chat()
            assert found.headers["x-spillway-stop-reason"] == "accepted"
            assert "x-spillway-streaming" not in found.headers


async def test_final_streams_the_last_tier_and_asks_no_other(tmp_path: Path) -> None:
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(answer("0.9"))
        large.will(answer("0.99"))
        config = models(small=small.base_url, large=large.base_url) + MODE.format(mode="final")
        async with serving(tmp_path, config) as gateway:
            headers, text, _ = await streamed(gateway)
            assert (headers["x-spillway-model"], headers["x-spillway-tier"], text) == ("large", "2", "0.99")
            assert small.asked == []
            assert (await gateway.chat()).headers["x-spillway-model"] == "small"


@pytest.mark.parametrize(
    ("section", "release", "lengths", "said"),
    [
        (MODE.format(mode="prefix"), None, (20,), "--release-loss"),
        (MODE.format(mode="prefix"), 0.9, (), "--prefixes"),
        (MODE.format(mode="soon"), 0.9, (20,), "buffer"),
        (CASCADE.replace("}]", VERIFIED), 0.9, (20,), "whole"),
    ],
)
async def test_a_policy_that_cannot_stream_so_is_refused(
    tmp_path: Path, section: str, release: float | None, lengths: tuple[int, ...], said: str
) -> None:
    class Judge(NumberScorer):
        prefix_lengths = lengths

    config = models(small="http://127.0.0.1:9/v1", large="http://127.0.0.1:9/v1") + section
    with pytest.raises(ConfigError, match=said) as refused:
        async with serving(tmp_path, config, release=release, load_scorer=lambda _folder: Judge()):
            pass
    assert "policies[0].streaming" in str(refused.value)
