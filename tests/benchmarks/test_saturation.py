"""A tier whose engine others keep busy: how long its clients wait, with and without looking at the engine's load.

Two tiers, an engine each; a load that the gateway knows nothing of comes to the first one and goes again. Measured in
real time, the same arrivals each time. Asserted: no request queues in an engine that was known to be full while the
other tier was free.
"""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.engine import Engine
from tests.gateway_server import CASCADE, PRICE, Running, serving
from tests.upstream import BadUpstream

pytestmark = [pytest.mark.evidence, pytest.mark.timeout(300)]

TOKENS = 16
PER_S, FOR_S = 6.0, 24.0
OTHERS, OTHERS_FROM_S, OTHERS_UNTIL_S = 16, 6.0, 18.0
EVERY_S = 0.25
WAYS = {
    "not looked at": ", probe: false",
    "looked at": f", load: {{every_s: {EVERY_S}}}",
    "looked at, places known": f", load: {{every_s: {EVERY_S}, places: 4}}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """One request as its client saw it.   at : seconds since the beginning."""

    at: float
    model: str
    took_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What came of one way.   queued : in the first engine while the second was free; late : of them, those that came
    more than two looks after the engine's queue had begun."""

    served: Sequence[Served]
    queued: int
    late: int


async def test_no_request_queues_where_another_tier_is_free(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen = {}
    for n, (name, way) in enumerate(WAYS.items()):
        folder = tmp_path / str(n)
        folder.mkdir()
        seen[name] = await measured(folder, way)
    with capsys.disabled():
        print("\n" + "\n".join(map(row, seen, seen.values())))
    assert seen["not looked at"].late > 0  # else there was nothing to be seen
    assert [seen[name].late for name in WAYS if name != "not looked at"] == [0, 0]
    known = seen["looked at, places known"]
    came = sum(OTHERS_FROM_S <= one.at < OTHERS_FROM_S + 2 * EVERY_S for one in known.served)
    assert known.queued <= came  # only the others' coming is heard of a look later


async def measured(folder: Path, way: str) -> Seen:
    """The same load on fresh engines."""
    large = Engine(places=8, step_s=0.03)
    small = Engine(places=4, step_s=0.02, others=(large,))
    async with AsyncExitStack() as stack:
        urls = {}
        for name, engine in (("small", small), ("large", large)):
            upstream = await stack.enter_async_context(BadUpstream())
            upstream.will(engine.behave)
            urls[name] = upstream.base_url
        gateway = await stack.enter_async_context(serving(folder, models(urls, way), CASCADE, threshold=0.1))
        await known(gateway, way)
        small.arrivals.clear()
        began = time.monotonic()
        done = asyncio.gather(others(urls["small"], began), arriving(gateway, began))
        served = (await done)[1]
        fulls = [arrival.full_s for arrival in small.arrivals if arrival.queued and arrival.others_free]
    return Seen(served=served, queued=len(fulls), late=sum(full_s > 2 * EVERY_S for full_s in fulls))


def models(urls: dict[str, str], way: str) -> str:
    """Both tiers; the way is the first one's."""
    fields = {"small": f", probe: true{way}" if "probe" not in way else way, "large": ""}
    lines = [
        f"  - {{name: {name}, backend: openai_compatible, upstream_model: m, base_url: '{url}', {PRICE}"
        f", max_output_tokens: {TOKENS}{fields[name]}}}\n"
        for name, url in urls.items()
    ]
    return "cache: {enabled: false}\nmodels:\n" + "".join(lines)


async def known(gateway: Running, way: str) -> None:
    """Return once the first engine is looked at, where it is to be."""
    if "probe" in way:
        return
    async with asyncio.timeout(30):
        while "spillway_engine_requests_running{" not in (await gateway.http.get("/metrics")).text:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def others(url: str, began: float) -> None:
    """So many who ask again as soon as they are answered, at the engine itself."""
    await asyncio.sleep(began + OTHERS_FROM_S - time.monotonic())
    body = {"model": "m", "messages": [{"role": "user", "content": "count"}], "max_tokens": TOKENS}
    limits = httpx.Limits(max_connections=OTHERS)
    async with httpx.AsyncClient(timeout=60, limits=limits) as http:

        async def one() -> None:
            while time.monotonic() < began + OTHERS_UNTIL_S:
                (await http.post(f"{url}/chat/completions", json=body)).raise_for_status()

        await asyncio.gather(*(one() for _ in range(OTHERS)))


async def arriving(gateway: Running, began: float) -> list[Served]:
    """The gateway's clients, who come at random, whatever became of those before."""
    chance, at, asking = random.Random(7), 0.0, []

    async def one(at: float) -> Served:
        await asyncio.sleep(began + at - time.monotonic())
        came = time.monotonic()
        answered = await gateway.chat("auto", max_tokens=TOKENS)
        assert answered.status_code == 200, answered.text
        return Served(at=at, model=answered.headers["x-spillway-model"], took_s=time.monotonic() - came)

    while (at := at + chance.expovariate(PER_S)) < FOR_S:
        asking.append(asyncio.create_task(one(at)))
    return list(await asyncio.gather(*asking))


def row(name: str, seen: Seen) -> str:
    """A way's figures, while the others were there and while they were not."""

    def told(within: Callable[[Served], bool]) -> str:
        chosen = [one for one in seen.served if within(one)]
        parts = [p95("all", chosen)]
        for model in ("small", "large"):
            own = [one for one in chosen if one.model == model]
            parts.append(f"{len(own) / len(chosen):.0%} {p95(model, own)}")
        return "; ".join(parts)

    busy = told(lambda one: OTHERS_FROM_S <= one.at < OTHERS_UNTIL_S)
    quiet = told(lambda one: not OTHERS_FROM_S <= one.at < OTHERS_UNTIL_S)
    return (
        f"{name}: overloaded: {busy}\n    before and after: {quiet}\n"
        f"    {len(seen.served)} requests; queued in small's engine while large was free: {seen.queued}, "
        f"of them {seen.late} more than two looks after its queue had begun"
    )


def p95(name: str, served: Sequence[Served]) -> str:
    """Latency that 95 of 100 stay below."""
    return f"{name} p95 {np.quantile([one.took_s for one in served], 0.95):.2f} s" if served else f"{name} -"
