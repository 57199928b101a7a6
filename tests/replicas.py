"""Gateways in processes of their own that share one PostgreSQL and one Redis, as replicas behind one address do."""

import asyncio
import contextlib
import subprocess
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.databases import fresh_url
from tests.gateway_process import served
from tests.gateway_server import HELLO, written
from tests.redis_server import REDIS, a_prefix

TOKEN = "an-operators-token-of-some-length"
ADMIN = {"authorization": f"Bearer {TOKEN}"}
PATIENCE_S = 60.0


@dataclass(slots=True, kw_only=True)
class Replica:
    """One of them, in the order in which they were started."""

    process: subprocess.Popen[str]
    http: httpx.AsyncClient

    async def chat(self, **fields: Any) -> httpx.Response:
        """A completion that may be cached."""
        body = {"model": "auto", "messages": HELLO, "temperature": 0} | fields
        return await self.http.post("/v1/chat/completions", json=body)

    async def gauge(self, name: str) -> float:
        """A metric, by its name and labels as they are written."""
        text = (await self.http.get("/metrics")).text
        return next((float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name + " ")), 0.0)


@asynccontextmanager
async def replicas(
    folder: Path, *sections: str, count: int = 2, redis_url: str = REDIS, own_folders: bool = False, **told: Any
) -> AsyncGenerator[list[Replica]]:
    """So many of them.   own_folders : each has a configuration of its own, in ``folder``/1 and so on."""
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(fresh_url("postgresql", folder))
        prefix = await stack.enter_async_context(a_prefix())
        shared = (
            f"database: {{url: '{url}'}}\nredis: {{url: '{redis_url}', timeout_s: 2, prefix: {prefix}}}\n"
            f"admin: {{token: {TOKEN}}}\nauth: {{required: false}}\n"
            "server: {access_log: false}\n"  # nobody reads it, and a full pipe stops a process
        )
        folders = [folder / str(n + 1) if own_folders else folder for n in range(count)]
        started = []
        with contextlib.ExitStack() as processes:
            for one in folders:  # one after the other: the first brings the schema up
                one.mkdir(exist_ok=True)
                written(one, *sections, shared, **told)
                process, base_url = await asyncio.to_thread(processes.enter_context, served(one))
                http = await stack.enter_async_context(httpx.AsyncClient(base_url=base_url, timeout=60))
                started.append(Replica(process=process, http=http))
            yield started


async def until(seen: Callable[[], Awaitable[Any]]) -> Any:
    """What is seen, once it is something."""
    ends = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends:
        found = await seen()
        if found:
            return found
        await asyncio.sleep(0.1)  # between two looks at another process
    raise AssertionError("it did not come about")
