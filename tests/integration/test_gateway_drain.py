"""SIGTERM under load: nothing that was begun is cut, nothing new is begun, and the exit is a clean one."""

import asyncio
import contextlib
import json
import signal
from pathlib import Path

import httpx
import pytest

from tests.gateway_process import refused, served, spillway, stuttering
from tests.gateway_server import HELLO, OBSERVING, models, written

STREAMS = 50


async def test_fifty_streams_under_way_complete_after_sigterm(tmp_path: Path) -> None:
    async with stuttering() as (upstream, carry_on):
        written(tmp_path, models(large=upstream.base_url), OBSERVING, "auth: {required: false}\n")
        with served(tmp_path) as (process, url):
            limits = httpx.Limits(max_connections=STREAMS)
            async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as http:
                begun = asyncio.Semaphore(0)

                async def listen() -> str:
                    body = {"model": "auto", "messages": HELLO, "stream": True}
                    async with http.stream("POST", "/v1/chat/completions", json=body) as response:
                        lines = response.aiter_lines()
                        assert "hello" in await anext(lines)
                        begun.release()
                        return [line async for line in lines if line][-1]

                listening = [asyncio.create_task(listen()) for _ in range(STREAMS)]
                for _ in range(STREAMS):
                    await begun.acquire()
                process.send_signal(signal.SIGTERM)
                await refused(url)
                assert process.poll() is None
                carry_on.set()
                assert await asyncio.gather(*listening) == ["data: [DONE]"] * STREAMS
            assert process.wait(timeout=60) == 0

    spend = json.loads(spillway("spend", "--json", folder=tmp_path).stdout)
    assert (spend["total"]["accepted"], spend["total"]["open"]) == (STREAMS, 0)


async def test_it_is_not_ready_before_it_takes_no_more_requests(tmp_path: Path) -> None:
    async with stuttering() as (upstream, carry_on):
        carry_on.set()
        leave = "server: {leave_s: 600}\n"
        written(tmp_path, models(large=upstream.base_url), OBSERVING, "auth: {required: false}\n", leave)
        with served(tmp_path) as (process, url):
            async with httpx.AsyncClient(base_url=url, timeout=120) as http:
                assert (await http.get("/readyz")).status_code == 200
                process.send_signal(signal.SIGTERM)
                while (await http.get("/readyz")).status_code == 200:  # noqa: ASYNC110  # until the signal has been heard
                    await asyncio.sleep(0.01)
                assert (await http.get("/readyz")).json()["checks"]["gateway"] == "starting or stopping"
                assert (await http.get("/healthz")).status_code == 200
                body = {"model": "auto", "messages": HELLO, "stream": True}
                assert (await http.post("/v1/chat/completions", json=body)).text.endswith("data: [DONE]\n\n")
            process.send_signal(signal.SIGTERM)  # asked again, it does not wait
            assert await asyncio.to_thread(process.wait, 60) == 0


async def _one_stream(url: str, begun: asyncio.Event) -> list[str]:
    """The lines of a stream, as far as it came."""
    lines: list[str] = []
    body = {"model": "auto", "messages": HELLO, "stream": True}
    with contextlib.suppress(httpx.RemoteProtocolError):  # it is cut, so that nobody takes the part for the whole
        async with (
            httpx.AsyncClient(base_url=url, timeout=120) as http,
            http.stream("POST", "/v1/chat/completions", json=body) as response,
        ):
            async for line in response.aiter_lines():
                lines.append(line)
                begun.set()
    return lines


@pytest.mark.parametrize("again", [False, True], ids=["the deadline", "a second SIGTERM"])
async def test_a_drain_ends_at_its_deadline_or_when_asked_again_with_everything_settled(
    again: bool, tmp_path: Path
) -> None:
    async with stuttering() as (upstream, _):
        drain = f"server: {{drain_s: {600 if again else 1}}}\n"
        written(tmp_path, models(large=upstream.base_url), OBSERVING, "auth: {required: false}\n", drain)
        with served(tmp_path) as (process, url):
            begun = [asyncio.Event() for _ in range(5)]
            streams = [asyncio.create_task(_one_stream(url, one)) for one in begun]
            await asyncio.gather(*(one.wait() for one in begun))
            process.send_signal(signal.SIGTERM)
            await refused(url)
            if again:
                assert process.poll() is None
                process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, 60) == 0
            for lines in await asyncio.gather(*streams):
                assert "data: [DONE]" not in lines
    spend = json.loads(spillway("spend", "--json", folder=tmp_path).stdout)
    assert (spend["total"]["cancelled"], spend["total"]["open"]) == (5, 0)
