"""Streams under stress: clients that go, upstreams that die, decisions that take their time."""

import asyncio
import json
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.gateway_server import CASCADE, HELLO, OBSERVING, Running, models, serving
from tests.upstream import BadUpstream, Behaviour, Exchange, answer, die, error_event, hang, status
from tests.wire import chunk_of, event

IMPATIENT = "server: {hold_headers_s: 0, keep_alive_s: 0.02}\n"
HASTY = "server: {request_timeout_s: 2}\n"


def after(gate: asyncio.Event, behaviour: Behaviour) -> Behaviour:
    """The behaviour, once the gate is open."""

    async def behave(exchange: Exchange) -> None:
        await gate.wait()
        await behaviour(exchange)

    return behave


async def without_end(exchange: Exchange) -> None:
    """Words, until the client hangs up."""
    await exchange.head(200, {"content-type": "text/event-stream"})
    while True:
        await exchange.send(event(chunk_of({"role": "assistant", "content": "x" * 10_000})))


async def test_an_upstream_that_dies_in_mid_stream_ends_in_an_error_and_no_other_model(tmp_path: Path) -> None:
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(status(500))
        large.will(die("mid_stream"))
        async with serving(tmp_path, models(small=small.base_url, large=large.base_url), CASCADE) as gateway:
            stream = await gateway.client().chat.completions.create(model="auto", messages=HELLO, stream=True)
            chunks = aiter(stream)
            assert (await anext(chunks)).choices[0].delta.content == "hello"
            with pytest.raises(openai.APIError) as caught:
                await anext(chunks)
            assert caught.value.code == "upstream_failed"
            assert len(large.asked) == 1
            decision = await gateway.closed(stream.response.headers["x-request-id"])
            assert (decision.status, decision.stop_reason) == ("failed", "failed")
            assert [attempt.state for attempt in decision.attempts] == ["failed", "failed"]


async def test_an_error_event_of_the_upstream_reaches_the_client_as_ours(tmp_path: Path) -> None:
    async with BadUpstream() as upstream, serving(tmp_path, models(large=upstream.base_url), OBSERVING) as gateway:
        upstream.will(error_event("secret sk-abcdef123456"))
        response = await gateway.chat(stream=True)

        assert response.status_code == 200
        last = json.loads(response.text.strip().split("\n\n")[-1].removeprefix("data: "))
        assert last["error"]["code"] == "upstream_failed"
        assert "[DONE]" not in response.text
        assert "sk-abcdef" not in response.text


async def test_a_stream_that_never_began_is_refused_with_a_status(tmp_path: Path) -> None:
    async with BadUpstream() as upstream, serving(tmp_path, models(large=upstream.base_url), OBSERVING) as gateway:
        upstream.will(status(401, "Incorrect API key provided: sk-abcdef123456"))
        with pytest.raises(openai.InternalServerError) as caught:
            await gateway.client().chat.completions.create(model="auto", messages=HELLO, stream=True)
        assert caught.value.status_code == 502
        assert caught.value.code == "upstream_unauthorized"
        assert "sk-abcdef" not in str(caught.value)


@pytest.mark.parametrize("phase", ["before_headers", "after_headers", "mid_stream"])
async def test_a_client_that_goes_hangs_up_on_the_upstream(tmp_path: Path, phase: Any) -> None:
    async with BadUpstream() as upstream:
        upstream.will(hang(phase))
        sections = (IMPATIENT, models(large=upstream.base_url), OBSERVING)
        async with serving(tmp_path, *sections) as gateway:
            request = gateway.http.stream(
                "POST", "/v1/chat/completions", json={"model": "auto", "messages": HELLO, "stream": True}
            )
            async with request as response:
                pieces = response.aiter_bytes()
                await anext(pieces)
                asked = await upstream.reached()
            await asked.hung_up.wait()

            decision = await gateway.closed(response.headers["x-request-id"])
            assert (decision.status, decision.stop_reason) == ("cancelled", "cancelled")
            (attempt,) = decision.attempts
            assert attempt.state == "cancelled"
            assert attempt.usage_source == "estimated"


async def test_a_plain_client_that_goes_hangs_up_on_the_upstream(tmp_path: Path) -> None:
    async with BadUpstream() as upstream, serving(tmp_path, models(large=upstream.base_url), OBSERVING) as gateway:
        upstream.will(hang("before_headers"))
        waiting = asyncio.create_task(gateway.chat())
        asked = await upstream.reached()
        waiting.cancel()
        await asked.hung_up.wait()
        (decision_id,) = await _decisions(gateway, 1)
        assert (await gateway.closed(decision_id)).status == "cancelled"


async def test_while_a_cascade_decides_comments_keep_the_connection_alive(tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with BadUpstream() as upstream:
        upstream.will(after(gate, answer("surely 0.99")))
        sections = (IMPATIENT, models(small=upstream.base_url, large=upstream.base_url), CASCADE)
        async with serving(tmp_path, *sections) as gateway:
            body = {"model": "auto", "messages": HELLO, "stream": True}
            async with gateway.http.stream("POST", "/v1/chat/completions", json=body) as response:
                lines = response.aiter_lines()
                comments = [line async for line in _until(lines, 3)]
                gate.set()
                rest = [line async for line in lines if line]

            assert comments == [": still deciding"] * 3
            assert response.headers["x-request-id"].startswith("dec_")
            assert "x-spillway-model" not in response.headers
            data = [line.removeprefix("data: ") for line in rest if not line.startswith(":")]
            assert data[-1] == "[DONE]"
            told = json.loads(data[0])["spillway"]
            assert (told["model"], told["tier"], told["score"]) == ("small", 1, 0.99)
            assert told["decision_id"] == response.headers["x-request-id"]
            assert "spillway" not in json.loads(data[1])


async def test_the_openai_client_overhears_the_comments_and_the_announcement(tmp_path: Path) -> None:
    async with BadUpstream() as upstream:
        sections = (IMPATIENT, models(small=upstream.base_url, large=upstream.base_url), CASCADE)
        async with serving(tmp_path, *sections, threshold=0.1) as gateway:
            stream = await gateway.client().chat.completions.create(model="auto", messages=HELLO, stream=True)
            pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
            assert "".join(pieces) == "hello there"


async def test_a_failure_after_the_headers_had_to_go_travels_in_the_stream(tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with BadUpstream() as upstream:
        upstream.will(after(gate, status(400, "that will not do")))
        sections = (IMPATIENT, models(large=upstream.base_url), OBSERVING)
        async with serving(tmp_path, *sections) as gateway:
            stream = await gateway.client().chat.completions.create(model="auto", messages=HELLO, stream=True)
            gate.set()
            with pytest.raises(openai.APIError, match="that will not do") as caught:
                await anext(aiter(stream))
            assert caught.value.code == "upstream_refused"


async def test_a_request_has_a_deadline(tmp_path: Path) -> None:
    async with BadUpstream() as upstream:
        upstream.will(hang("before_headers"))
        sections = (HASTY, models(large=upstream.base_url, extra="timeout_s: 30"), OBSERVING)
        async with serving(tmp_path, *sections) as gateway:
            response = await gateway.chat()
            assert (response.status_code, response.json()["error"]["code"]) == (504, "upstream_timeout")
            assert response.headers["x-should-retry"] == "false"
            assert (await gateway.closed(response.headers["x-request-id"])).status == "failed"


async def test_what_was_paid_for_before_the_deadline_is_the_answer(tmp_path: Path) -> None:
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(answer("0.3"))
        large.will(hang("before_headers"))
        sections = (HASTY, models(small=small.base_url, large=large.base_url, extra="timeout_s: 30"), CASCADE)
        async with serving(tmp_path, *sections) as gateway:
            response = await gateway.chat()
            assert response.json()["choices"][0]["message"]["content"] == "0.3"
            assert response.headers["x-spillway-stop-reason"] == "best_so_far"


async def test_a_client_that_reads_nothing_does_not_hold_the_upstream_for_ever(tmp_path: Path) -> None:
    async with BadUpstream() as upstream:
        upstream.will(without_end)
        sections = (HASTY, models(large=upstream.base_url), OBSERVING)
        async with serving(tmp_path, *sections) as gateway:
            request = gateway.http.stream(
                "POST", "/v1/chat/completions", json={"model": "auto", "messages": HELLO, "stream": True}
            )
            async with request as response:
                await (await upstream.reached()).hung_up.wait()
                assert (await gateway.closed(response.headers["x-request-id"])).attempts[0].state != "accepted"


async def _until(lines: Any, n: int) -> Any:
    """The next n lines that are not empty."""
    while n:
        line = await anext(lines)
        if line:
            n -= 1
            yield line


async def _decisions(gateway: Running, n: int) -> list[str]:
    """The ids of all requests in the ledger, once there are n."""
    from sqlalchemy import select

    from gateway.ledger.tables import requests

    while True:
        async with gateway.database.read() as connection:
            found = list((await connection.execute(select(requests.c.decision_id))).scalars())
        if len(found) >= n:
            return found
        await asyncio.sleep(0.01)  # only as long as the ledger takes to write its batch
