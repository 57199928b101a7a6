"""Clients that ask again and again until they are told to stop, and what each of their requests came to.

Knows OpenAI's own client and what nginx says of who was asked. What the upstream was asked is its own account.
"""

import asyncio
import contextlib
import json
import random
import time
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import openai

from tests.upstream import BadUpstream, Exchange
from tests.wire import chunk_of, chunks_of, completion, event


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request. trouble : what went wrong, "" if nothing did.   replica : host and port of who took it."""

    began: float
    took_s: float
    trouble: str
    replica: str
    streamed: bool


@dataclass(slots=True)
class Callers:
    """What they have seen so far."""

    asked: list[Asked] = field(default_factory=list)

    @property
    def failed(self) -> Sequence[Asked]:
        return [one for one in self.asked if one.trouble]

    def tally(self, since: float = 0.0, until: float = float("inf")) -> Counter[str]:
        """How requests that ended between two moments (of ``time.monotonic``) went."""
        return Counter(one.trouble or "ok" for one in self.asked if since <= one.began + one.took_s < until)

    def slowest_s(self) -> float:
        return max(one.took_s for one in self.asked)


@asynccontextmanager
async def calling(
    url: str, key: str, *, clients: int, streams: float = 1.0, pause_s: float = 0.0, model: str = "auto"
) -> AsyncGenerator[Callers]:
    """So many clients, while the ``async with`` lasts; at its end each one's last request is waited for.

    streams : the share of requests that ask for a stream.   pause_s : between a client's requests.
    """
    seen, ended = Callers(), asyncio.Event()
    limits = httpx.Limits(max_connections=clients, max_keepalive_connections=clients)
    async with openai.AsyncOpenAI(
        base_url=f"{url}/v1",
        api_key=key,
        max_retries=0,
        timeout=60,
        http_client=httpx.AsyncClient(limits=limits, timeout=60),
    ) as client:

        async def call() -> None:
            while not ended.is_set():
                seen.asked.append(await _one(client, model, stream=random.random() < streams))
                if pause_s:
                    await asyncio.sleep(pause_s)

        async with asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(call())
            try:
                yield seen
            finally:
                ended.set()


async def _one(client: openai.AsyncOpenAI, model: str, *, stream: bool) -> Asked:
    began, trouble, replica = time.monotonic(), "", ""
    try:
        raw = await client.chat.completions.with_raw_response.create(
            model=model,
            messages=[{"role": "user", "content": f"what is {random.randint(1, 10**9)} and one?"}],
            stream=stream,
            max_tokens=100,
            temperature=0,
        )
        replica = raw.headers.get("x-upstream", "")
        answer = raw.parse()
        if isinstance(answer, openai.AsyncStream):
            finish = ""
            async for chunk in answer:
                finish = (chunk.choices[0].finish_reason or finish) if chunk.choices else finish
            trouble = "" if finish == "stop" else "the stream ended early"
    except openai.APIStatusError as error:
        replica = error.response.headers.get("x-upstream", "")
        trouble = f"{error.status_code} {error.code or ''}".strip()
    except (openai.APIError, httpx.HTTPError) as error:
        trouble = type(error).__name__
    return Asked(began=began, took_s=time.monotonic() - began, trouble=trouble, replica=replica, streamed=stream)


@dataclass(slots=True)
class Account:
    """An upstream that answers in pieces, and by attempt what it would bill: (prompt, completion) tokens.

    pieces, piece_s : how many words an answer has, and the pause before each.
    """

    pieces: int = 5
    piece_s: float = 0.05
    told: dict[str, tuple[int, int] | None] = field(default_factory=dict)

    async def behave(self, exchange: Exchange) -> None:
        """A behaviour of ``BadUpstream``. An attempt that was not told to its end stays None."""
        attempt = exchange.asked.headers["x-spillway-attempt"]
        assert attempt not in self.told, "one attempt was called twice"
        self.told[attempt] = None
        usage = (random.randint(5, 50), self.pieces)
        if not exchange.asked.streams:
            await asyncio.sleep(self.pieces * self.piece_s)
            body = completion("word " * self.pieces, usage=usage)
            self.told[attempt] = usage
            await exchange.whole(200, json.dumps(body).encode(), {"content-type": "application/json"})
            return
        await exchange.head(200, {"content-type": "text/event-stream"})
        for _ in range(self.pieces):
            await asyncio.sleep(self.piece_s)
            await exchange.send(event(chunk_of({"content": "word "})))
        self.told[attempt] = usage
        for chunk in chunks_of("", usage)[1:]:
            await exchange.send(event(chunk))
        await exchange.send(b"data: [DONE]\n\n")
        await exchange.end()


@asynccontextmanager
async def accounting(account: Account) -> AsyncGenerator[BadUpstream]:
    """The upstream, serving."""
    async with BadUpstream() as upstream:
        upstream.will(account.behave)
        with contextlib.suppress(ConnectionError):
            yield upstream
