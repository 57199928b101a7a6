"""How long a client waits for the first word of a stream, in each mode, through a whole gateway.

The upstreams say 1,200 characters in 30 pieces, one every 20 ms: a whole answer takes 600 ms. Prints what was measured.
"""

import asyncio
import statistics
import time
from pathlib import Path

import pytest

from tests.gateway_server import HELLO, NumberScorer, Running, models, serving
from tests.upstream import BadUpstream, Exchange
from tests.wire import chunk_of, event

pytestmark = [pytest.mark.evidence, pytest.mark.timeout(600)]

ASKED = 30
PIECES, EVERY_S = 30, 0.02
MODE = "policies: [{{name: default, safe_model: large, strategy: strategy.json, scorer: scorer, streaming: {mode}}}]\n"


class Judge(NumberScorer):
    """Looks at the lengths at which trained scorers do."""

    prefix_lengths = (100, 200, 400, 800)


async def slowly(exchange: Exchange) -> None:
    text = ("I am sure, by 0.95, that this is it. " + "And so on. " * 200)[: 40 * PIECES]
    await exchange.head(200, {"content-type": "text/event-stream"})
    for n in range(PIECES):
        await asyncio.sleep(EVERY_S)
        await exchange.send(event(chunk_of({"role": "assistant", "content": text[40 * n : 40 * n + 40]})))
    await exchange.send(event(chunk_of({}, finish_reason="stop")) + b"data: [DONE]\n\n")
    await exchange.end()


async def whole(exchange: Exchange) -> None:
    """The same, to who does not stream: a judged tier is asked for its whole answer."""
    if exchange.asked.streams:
        await slowly(exchange)
        return
    from tests.upstream import answer

    await asyncio.sleep(PIECES * EVERY_S)
    await answer("I am sure, by 0.95, that this is it.")(exchange)


async def first_words(gateway: Running) -> list[float]:
    """Seconds until the first content, stream by stream."""
    waited = []
    body = {"model": "auto", "messages": HELLO, "stream": True}
    for _ in range(ASKED):
        began = time.perf_counter()
        async with gateway.http.stream("POST", "/v1/chat/completions", json=body) as response:
            lines = response.aiter_lines()
            while '"content":"I am' not in await anext(lines):
                pass
            waited.append(time.perf_counter() - began)
            async for _line in lines:
                pass
    return waited


async def test_time_to_the_first_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """First tier good: buffer waits for all of it, prefix for 100 characters, final for nothing."""
    medians = {}
    for mode in ("buffer", "prefix", "final"):
        folder = tmp_path / mode
        folder.mkdir()
        async with BadUpstream() as small, BadUpstream() as large:
            small.will(whole)
            large.will(whole)
            config = models(small=small.base_url, large=large.base_url) + MODE.format(mode=mode)
            async with serving(folder, config, release=0.9, load_scorer=lambda _folder: Judge()) as gateway:
                waited = await first_words(gateway)
        assert len(waited) == ASKED
        medians[mode] = statistics.median(waited)
        with capsys.disabled():
            print(
                f"\n{mode}: median {medians[mode] * 1000:.0f} ms, worst {max(waited) * 1000:.0f} ms of {ASKED}", end=""
            )
    assert medians["final"] < medians["prefix"] < medians["buffer"]
