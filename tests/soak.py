"""A gateway under mixed load for a while: streams and plain requests, clients that hang up, upstreams that misbehave.

The gateway is a process of its own, so that its memory, sockets and tasks can be watched from outside. The upstream
keeps its own account by attempt (the header ``x-spillway-attempt``), which the ledger is compared with, call by call.
"""

import asyncio
import contextlib
import json
import random
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import select

from gateway.config.check import load_settings
from gateway.database import Database
from gateway.ledger.tables import attempts, closings, requests, settlements
from tests import upstream as up
from tests.gateway_process import served
from tests.gateway_server import PRICE, written
from tests.wire import chunk_of, chunks_of, event

SPARE_FILES = 15  # connections to the database that a pool keeps once they were needed
CONFIG = """
server: {access_log: false}
auth: {required: false}
cache: {enabled: false}
"""
POLICY = "policies: [{name: default, safe_model: large}]\n"


@dataclass(slots=True)
class Account:
    """What the upstream did, by attempt: the tokens that it told; None where it charges and told none, or nothing."""

    told: dict[str, tuple[int, int] | None] = field(default_factory=dict)
    free: set[str] = field(default_factory=set)

    async def behave(self, exchange: up.Exchange) -> None:
        """Mostly well, sometimes badly; slow enough that many calls are under way at once."""
        asked = exchange.asked
        attempt, dice = asked.headers["x-spillway-attempt"], random.random()
        assert attempt not in self.told, "one attempt was called twice"
        self.told[attempt] = None
        await asyncio.sleep(random.uniform(0.02, 0.4))
        if dice < 0.05:
            self.free.add(attempt)
            await up.status(random.choice([429, 503]), retry_after="0")(exchange)
        elif dice < 0.08:
            await up.status(500)(exchange)
        elif dice < 0.10:
            await up.die(random.choice(["before_headers", "after_headers", "mid_stream"]))(exchange)
        elif dice < 0.11:
            await up.truncated_json()(exchange)
        else:
            await self._answer(exchange, attempt)

    async def _answer(self, exchange: up.Exchange, attempt: str) -> None:
        usage = (random.randint(5, 500), random.randint(1, 60))
        text = "word " * usage[1]
        if not exchange.asked.streams:
            await up.answer(text, usage=usage)(exchange)
            self.told[attempt] = usage
            return
        await exchange.head(200, {"content-type": "text/event-stream"})
        for _ in range(random.randint(1, 8)):
            await exchange.send(event(chunk_of({"content": "word "})))
            await asyncio.sleep(random.uniform(0, 0.1))
        for chunk in chunks_of("end", usage)[1:]:
            await exchange.send(event(chunk))
        self.told[attempt] = usage
        await exchange.send(b"data: [DONE]\n\n")
        await exchange.end()


@dataclass(slots=True)
class Soaked:
    """What was seen."""

    seconds: float
    clients: int
    seen: Counter[str]
    rss_mb: list[tuple[float, float]]
    blocks: list[tuple[float, float]]  # of memory that Python holds
    idle: dict[str, float]  # of the gateway, when all clients had gone
    warm: dict[str, float]  # of the gateway, before any came
    states: Counter[str]
    unsettled: int
    unclosed: int
    wrong: list[str]
    unsure: list[str]  # calls whose connection died, put down at an estimate, and the upstream never heard of them
    billed: tuple[int, int, int]  # calls with usage told, prompt and completion tokens, by the upstream's account

    @property
    def slope_mb_per_minute(self) -> float:
        """Of the memory over the second half, by least squares: the first half fills pools and caches."""
        return 60 * _slope(self.rss_mb[len(self.rss_mb) // 2 :])

    @property
    def blocks_per_request(self) -> float:
        """How many more blocks Python holds after each request, over the second half: what is kept, it keeps here.

        Resident memory also grows by what the allocator cannot give back, and by less and less of it.
        """
        requests_a_second = sum(self.seen.values()) / self.seconds
        return _slope(self.blocks[len(self.blocks) // 2 :]) / requests_a_second

    def lines(self) -> Sequence[str]:
        """For people."""
        calls, prompt, completion = self.billed
        return [
            f"{self.seconds:.0f} s, {self.clients} clients at once: {sum(self.seen.values())} requests",
            f"seen by clients {dict(self.seen)}",
            f"attempts {dict(self.states)}",
            f"memory {self.rss_mb[0][1]:.0f} MB at first, {self.rss_mb[-1][1]:.0f} MB at last, "
            f"slope of the second half {self.slope_mb_per_minute:+.2f} MB a minute",
            f"blocks of memory {self.blocks[0][1]:.0f} at first, {self.blocks[-1][1]:.0f} at last, "
            f"{self.blocks_per_request:+.3f} more with each request of the second half",
            f"before: {self.warm}, after: {self.idle}",
            f"unsettled attempts {self.unsettled}, unclosed requests {self.unclosed}",
            f"the upstream told usage for {calls} calls ({prompt} + {completion} tokens); differences to the ledger: "
            f"{len(self.wrong)} {self.wrong[:3]}",
            f"estimates for calls that the upstream never heard of: {len(self.unsure)} {self.unsure[:3]}",
        ]


def _slope(points: Sequence[tuple[float, float]]) -> float:
    n = len(points)
    mean_x, mean_y = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


async def soak(folder: Path, *, seconds: float, clients: int) -> Soaked:
    """Load a gateway for so long, then compare its books with the upstream's."""
    account = Account()
    async with up.BadUpstream() as upstream:
        upstream.will(account.behave)
        models = "models:\n" + "".join(_model(name, upstream.base_url) for name in ("small", "large"))
        path = written(folder, CONFIG, models, POLICY)
        with served(folder) as (process, url):
            draining = asyncio.create_task(asyncio.to_thread(_drained, process.stderr))
            rss, blocks = list[tuple[float, float]](), list[tuple[float, float]]()
            limits = httpx.Limits(max_connections=clients + 5, max_keepalive_connections=clients)
            async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as http:
                await http.post("/v1/chat/completions", json=_request(stream=False))
                warm = await _gauges(http)
                seen: Counter[str] = Counter()
                ends = time.monotonic() + seconds
                watching = asyncio.create_task(_watch(process.pid, http, ends, rss, blocks))
                await asyncio.gather(*(_client(http, ends, seen) for _ in range(clients)))
                await watching
            async with httpx.AsyncClient(base_url=url) as http:
                idle = await _settled(http, warm)
            process.terminate()
            assert await asyncio.to_thread(process.wait, 60) == 0
            await draining
    return await _compared(path, account, Soaked(
        seconds=seconds, clients=clients, seen=seen, rss_mb=rss, blocks=blocks, idle=idle, warm=warm, states=Counter(),
        unsettled=-1, unclosed=-1, wrong=[], unsure=[], billed=(0, 0, 0),
    ))  # fmt: skip


def _drained(pipe: Iterable[str] | None) -> int:
    return sum(1 for _ in pipe or ())


def _model(name: str, url: str) -> str:
    fields = [f"backend: openai_compatible\n    base_url: {url}", PRICE, "max_output_tokens: 4096", "timeout_s: 20"]
    fields += ["breaker: {failures: 1000}", "deployments: [{name: a}, {name: b}]", "max_concurrency: 40"]
    if name == "small":
        fields.append("hedge_after_s: 0.35")
    return f"  - name: {name}\n" + "".join(f"    {line}\n" for line in fields)


def _request(*, stream: bool) -> dict[str, Any]:
    words = " ".join(random.choice(["how", "what", "tell", "me"]) for _ in range(random.randint(1, 200)))
    model = random.choice(["auto", "small"])
    return {"model": model, "messages": [{"role": "user", "content": words}], "stream": stream}


async def _client(http: httpx.AsyncClient, ends: float, seen: Counter[str]) -> None:
    while time.monotonic() < ends:
        stream, patience_s = random.random() < 0.5, random.uniform(0.01, 0.6) if random.random() < 0.15 else 60.0
        try:
            async with asyncio.timeout(patience_s):
                seen[await _one(http, stream=stream)] += 1
        except TimeoutError:
            seen["hung up"] += 1
        except httpx.HTTPError as error:
            seen[type(error).__name__] += 1


async def _one(http: httpx.AsyncClient, *, stream: bool) -> str:
    if not stream:
        return str((await http.post("/v1/chat/completions", json=_request(stream=False))).status_code)
    last = ""
    async with http.stream("POST", "/v1/chat/completions", json=_request(stream=True)) as response:
        async for line in response.aiter_lines():
            last = line or last
    if response.status_code != 200:
        return str(response.status_code)
    return "stream" if last == "data: [DONE]" else "stream with an error" if '"error"' in last else "stream cut"


async def _watch(
    pid: int, http: httpx.AsyncClient, ends: float, rss: list[tuple[float, float]], blocks: list[tuple[float, float]]
) -> None:
    began = time.monotonic()
    while time.monotonic() < ends:
        await asyncio.sleep(0.5)
        rss.append((time.monotonic() - began, _rss_mb(pid)))
        blocks.append((time.monotonic() - began, (await _gauges(http))["allocated_blocks"]))


def _rss_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 1e6


async def _gauges(http: httpx.AsyncClient) -> dict[str, float]:
    text = (await http.get("/metrics")).text
    lines = (line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("spillway_"))
    values = {name: float(value) for name, value in lines}
    told = {
        name: values[f"spillway_{name}"] for name in ("tasks", "open_files", "ledger_unsettled", "allocated_blocks")
    }
    return told | {"calls": sum(value for name, value in values.items() if "calls_in_flight" in name)}


async def _settled(http: httpx.AsyncClient, warm: dict[str, float]) -> dict[str, float]:
    """The gauges once connections that nobody uses any more have been let go of, or after a while as they are."""
    gauges: dict[str, float] = {}
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(15):
            while (
                not gauges
                or gauges["calls"]
                or gauges["ledger_unsettled"]
                or gauges["open_files"] > warm["open_files"] + SPARE_FILES
            ):
                await asyncio.sleep(0.5)
                gauges = await _gauges(http)
    return gauges


async def _compared(path: Path, account: Account, soaked: Soaked) -> Soaked:
    database = Database(load_settings(path, env={}).database_url)
    try:
        async with database.read() as connection:
            joined = select(attempts.c.attempt_id, settlements).outerjoin(
                settlements, settlements.c.attempt_id == attempts.c.attempt_id
            )
            rows = {row["attempt_id"]: row for row in (await connection.execute(joined)).mappings()}
            asked = len((await connection.execute(select(requests.c.decision_id))).all())
            closed = len((await connection.execute(select(closings.c.decision_id))).all())
    finally:
        await database.dispose()
    soaked.unclosed = asked - closed
    soaked.unsettled = sum(row["settled_us"] is None for row in rows.values())
    soaked.states = Counter(str(row["state"]) for row in rows.values())
    soaked.wrong = [*(f"{attempt}: no row" for attempt in account.told.keys() - rows.keys())]
    for attempt, row in rows.items():
        if attempt not in account.told and _is_unsure(row):
            soaked.unsure.append(f"{attempt}: {row['error_kind']} at {row['amount_nanousd']}")
        else:
            soaked.wrong += _differences(attempt, row, account)
    told = [usage for usage in account.told.values() if usage is not None]
    soaked.billed = (len(told), sum(prompt for prompt, _ in told), sum(said for _, said in told))
    return soaked


def _is_unsure(row: Any) -> bool:
    """Whether the connection died under a call: nobody here can know how far it had come."""
    estimated = row["usage_source"] == "estimated" and row["amount_nanousd"]
    return bool(row["state"] == "failed" and row["error_kind"] == "BackendBroken" and estimated)


def _differences(attempt: str, row: Any, account: Account) -> list[str]:
    counts, amount = (row["prompt_tokens"], row["completion_tokens"]), row["amount_nanousd"]
    if attempt not in account.told:  # never reached the upstream: given up before, or while it was being sent
        unheard = row["state"] == "cancelled" or (row["state"] == "failed" and not amount)
        told = f"{attempt}: {row['state']}, {row['error_kind']}, at {amount}, and the upstream knows nothing of it"
        return [] if unheard else [told]
    if attempt in account.free:
        return [] if amount == 0 or row["state"] == "cancelled" else [f"{attempt}: costs {amount}, and was free"]
    usage = account.told[attempt]
    if row["usage_source"] == "provider":
        exact = amount == counts[0] * 1_000 + counts[1] * 10_000
        return [] if counts == usage and exact else [f"{attempt}: {counts} at {amount}, and it was {usage}"]
    if row["state"] == "accepted" or row["usage_source"] != "estimated" or not amount:
        return [f"{attempt}: {json.dumps(dict(row), default=str)}, and it was {usage}"]
    return []  # it may be billed, and nobody told how much: put down at an estimate, and marked so
