"""What each fault of an upstream comes to: the client's view, the ledger's rows, the breaker's state.

One gateway, and one model for each fault, called once without retries; every breaker opens on its first failure.
"""

import asyncio
import gzip
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from tests import upstream as up
from tests.gateway_server import HELLO, PRICE, Running, serving
from tests.wire import chunk_of, chunks_of, event, usage_of

SAID, END, DONE = event(chunk_of({"content": "hello"})), event(chunk_of({}, finish_reason="stop")), b"data: [DONE]\n\n"
USAGE_CHUNK = {**chunk_of({}), "choices": []}
MEGABYTE = b"x" * 1_000_000


def skewed() -> up.Behaviour:
    """An upstream whose clock is an hour ahead asks to wait for 30 s of it."""
    theirs = datetime.now(UTC) + timedelta(hours=1)
    dates = {"date": format_datetime(theirs, usegmt=True)}
    dates["retry-after"] = format_datetime(theirs + timedelta(seconds=30), usegmt=True)
    return up.raw(b'{"error": {"message": "later"}}', code=429, headers=dates)


async def flood(exchange: up.Exchange) -> None:
    """200 MB, if somebody reads them."""
    streams = exchange.asked.streams
    exchange.asked.usage = (10, 2)
    await exchange.head(200, {"content-type": "text/event-stream" if streams else "application/json"})
    for _ in range(200):
        await exchange.send(b": " + MEGABYTE + b"\n\n" if streams else MEGABYTE)


def twice() -> up.Behaviour:
    usages = (event({**USAGE_CHUNK, "usage": usage_of(counts)}) for counts in ((10, 1), (10, 2)))
    return up.streamed(SAID, END, *usages, DONE)


FAULTS: Mapping[str, up.Behaviour] = {
    "hangs before its headers": up.hang("before_headers"),
    "hangs after its headers": up.hang("after_headers"),
    "hangs in mid-answer": up.hang("mid_stream"),
    "dies before its headers": up.die("before_headers"),
    "dies after its headers": up.die("after_headers"),
    "dies in mid-answer": up.die("mid_stream"),
    "429": up.status(429),
    "429 with retry-after": up.status(429, retry_after="30"),
    "429 by a skewed clock": skewed(),
    "401": up.status(401),
    "400": up.status(400),
    "500": up.status(500),
    "503": up.status(503),
    "error in 200": up.error_in_200("odd"),
    "empty choices": up.empty_choices(),
    "wrong content-type": up.raw(b"<html>hi</html>", content_type="text/html"),
    "gzip bomb": up.raw(gzip.compress(b"0" * 10_000_000), headers={"content-encoding": "gzip"}),
    "truncated JSON": up.truncated_json(),
    "200 MB": flood,
}
STREAM_FAULTS: Mapping[str, up.Behaviour] = {
    "broken SSE": up.streamed(SAID, b"data: {oops\n\n", END, DONE),
    "half a character": up.streamed(SAID, 'data: {"x": "é"}\n\n'.encode()[:12]),
    "no [DONE]": up.streamed(SAID, END),
    "duplicate usage": twice(),
    "error event": up.error_event("odd"),
    "no usage": up.streamed(*(event(chunk) for chunk in chunks_of("hello", None)), DONE),
}

FREE, BOUND, OK = "free", "at its bound", "priced"
TIMEOUT, BROKEN, NONSENSE = "BackendTimeout", "BackendBroken", "BackendNonsense"

WHOLE = {  # the client's view, the attempt's error, what the ledger puts it down at, the breaker
    "refuses": ("502 upstream_unreachable", "BackendUnreachable", FREE, "open"),
    "hangs before its headers": ("504 upstream_timeout, do not retry", TIMEOUT, BOUND, "open"),
    "hangs after its headers": ("504 upstream_timeout, do not retry", TIMEOUT, BOUND, "open"),
    "hangs in mid-answer": ("504 upstream_timeout, do not retry", TIMEOUT, BOUND, "open"),
    "dies before its headers": ("502 upstream_failed, do not retry", BROKEN, BOUND, "open"),
    "dies after its headers": ("502 upstream_failed, do not retry", BROKEN, BOUND, "open"),
    "dies in mid-answer": ("502 upstream_failed, do not retry", BROKEN, BOUND, "open"),
    "429": ("503 upstream_busy", "BackendBusy", FREE, "open"),
    "429 with retry-after": ("503 upstream_busy, retry after 30", "BackendBusy", FREE, "resting"),
    "429 by a skewed clock": ("503 upstream_busy, retry after 30", "BackendBusy", FREE, "resting"),
    "401": ("502 upstream_unauthorized, do not retry", "BackendUnauthorized", FREE, "open"),
    "400": ("400 upstream_refused", "BackendRefused", FREE, "closed"),
    "500": ("502 upstream_failed, do not retry", BROKEN, BOUND, "open"),
    "503": ("503 upstream_busy", "BackendBusy", FREE, "open"),
    "error in 200": ("502 upstream_failed, do not retry", NONSENSE, BOUND, "open"),
    "empty choices": ("502 upstream_failed, do not retry", NONSENSE, BOUND, "open"),
    "wrong content-type": ("502 upstream_failed, do not retry", NONSENSE, BOUND, "open"),
    "gzip bomb": ("502 upstream_failed, do not retry", NONSENSE, BOUND, "open"),
    "truncated JSON": ("502 upstream_failed, do not retry", NONSENSE, BOUND, "open"),
    "200 MB": ("502 upstream_failed, do not retry", NONSENSE, BOUND, "open"),
}
CUT = "200, then an error event"
STREAMED = {
    **WHOLE,
    "hangs in mid-answer": (f"{CUT} upstream_timeout", TIMEOUT, "estimated", "open"),
    "dies in mid-answer": (f"{CUT} upstream_failed", BROKEN, "estimated", "open"),
    "broken SSE": (f"{CUT} upstream_failed", NONSENSE, BOUND, "open"),
    "half a character": (f"{CUT} upstream_failed", NONSENSE, BOUND, "open"),
    "no [DONE]": (f"{CUT} upstream_failed", BROKEN, BOUND, "open"),
    "duplicate usage": ("200 [DONE]", None, OK, "closed"),
    "error event": (f"{CUT} upstream_failed", BROKEN, BOUND, "open"),
    "no usage": ("200 [DONE]", None, "estimated", "closed"),
}


def section(names: list[str], base_url: str) -> str:
    """One model a fault; the upstream tells them apart by path."""
    lines = ["models:"]
    for n, name in enumerate(names):
        url = up.nobody_there() if name == "refuses" else base_url.replace("/v1", f"/{n}/v1")
        timeout_s = 30 if name == "200 MB" else 1.5
        lines += [f"  - name: m{n}", "    backend: openai_compatible", f"    base_url: {url}", f"    {PRICE}"]
        lines += ["    max_output_tokens: 64", f"    timeout_s: {timeout_s}"]
        lines += ["    retries: {most: 0}", "    breaker: {failures: 1}"]
    return "\n".join(lines) + "\n"


async def view(gateway: Running, model: str, *, stream: bool) -> tuple[str, str]:
    """What a client sees, and the decision's id."""
    body = {"model": model, "messages": HELLO, "stream": stream}
    response = await gateway.http.post("/v1/chat/completions", json=body)
    seen = str(response.status_code)
    if response.status_code != 200:
        seen += f" {response.json()['error']['code']}"
        seen += f", retry after {response.headers['retry-after']}" if "retry-after" in response.headers else ""
        seen += ", do not retry" if response.headers.get("x-should-retry") == "false" else ""
    elif stream:
        *_, last = [line.removeprefix("data: ") for line in response.text.splitlines() if line]
        seen += " [DONE]" if last == "[DONE]" else f", then an error event {json.loads(last)['error']['code']}"
    return seen, response.headers["x-request-id"]


async def story(gateway: Running, n: int, *, stream: bool) -> tuple[str, str | None, str, str]:
    seen, decision_id = await view(gateway, f"m{n}", stream=stream)
    report = await gateway.closed(decision_id)
    [attempt] = report.attempts
    assert attempt.state in ("failed", "accepted")
    if attempt.usage_source is None:
        assert attempt.amount_nanousd == 0
        put_down = FREE
    elif attempt.usage_source == "estimated":
        put_down = BOUND if attempt.amount_nanousd == attempt.reserved_nanousd else "estimated"
    else:
        put_down = OK if attempt.amount_nanousd == 30_000 else "priced wrongly"
    metrics = (await gateway.http.get("/metrics")).text
    state = next(
        line for line in metrics.splitlines() if line.startswith(f'spillway_breaker_state{{deployment="1",model="m{n}"')
    )
    breaker = {"0": "closed", "1": "half open", "2": "open"}[state.split()[-1].removesuffix(".0")]
    again, _ = await view(gateway, f"m{n}", stream=stream) if breaker == "open" or "retry after" in seen else ("", "")
    if breaker == "closed" and again.startswith("503 upstream_unavailable"):
        breaker = "resting"
    assert breaker != "open" or again.startswith("503 upstream_unavailable")  # and nothing was called
    return seen, attempt.error_kind, put_down, breaker


@pytest.mark.parametrize("stream", [False, True])
async def test_each_fault_has_its_story(tmp_path: Path, stream: bool) -> None:
    faults = {"refuses": up.answer(), **FAULTS, **(STREAM_FAULTS if stream else {})}
    names = list(faults)

    async def misbehave(exchange: up.Exchange) -> None:
        await faults[names[int(exchange.asked.path.split("/")[1])]](exchange)

    async with up.BadUpstream() as upstream:
        upstream.will(misbehave)
        async with serving(tmp_path, section(names, upstream.base_url)) as gateway:
            stories = await asyncio.gather(*(story(gateway, n, stream=stream) for n in range(len(names))))
        told = dict(zip(names, stories, strict=True))
        assert told == {name: (STREAMED if stream else WHOLE)[name] for name in names}
        assert len(upstream.asked) == len(names) - 1  # one call each: what came after was not called
