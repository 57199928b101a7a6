"""The gateway as a process of its own, for tests of starting, stopping and the command line."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from tests.upstream import BadUpstream, Exchange
from tests.wire import chunk_of, event

ROOT = Path(__file__).resolve().parents[1]


def spillway(*arguments: str, folder: Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """The command, run to its end."""
    command = [sys.executable, "-m", "gateway.cli", *arguments]
    clean = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_HOST"))}
    return subprocess.run(
        command,
        cwd=folder,
        env=clean | {"PYTHONPATH": str(ROOT)} | dict(env or {}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@contextmanager
def served(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`spillway serve` as a process of its own, and its URL."""
    with served_apart(folder) as (process, url, _):
        yield process, url


@contextmanager
def served_apart(
    folder: Path, *, env: Mapping[str, str] | None = None
) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """The same, and the URL of its admin port, "" where it has none."""
    with starting(folder, env=env) as process:
        assert process.stderr is not None
        url = admin = ""
        for line in process.stderr:
            message = json.loads(line)["message"]
            url = message.removeprefix("serving on ") if message.startswith("serving on ") else url
            admin = message.removeprefix("admin on ") if message.startswith("admin on ") else admin
            if message == "Application startup complete.":
                break
        else:
            raise AssertionError(f"it ended with {process.wait()}")
        _await_listening(url)
        yield process, url, admin


@contextmanager
def starting(folder: Path, *, env: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """`spillway serve`, whatever becomes of it; killed at the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway.cli", "serve", "--port", "0"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | dict(env or {}),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def _await_listening(url: str) -> None:
    """The application is up a moment before its socket takes connections."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    until = time.monotonic() + 30
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


@asynccontextmanager
async def stuttering() -> AsyncIterator[tuple[BadUpstream, asyncio.Event]]:
    """An upstream that says one word and the rest when it is told to."""
    carry_on = asyncio.Event()

    async def behave(exchange: Exchange) -> None:
        await exchange.head(200, {"content-type": "text/event-stream"})
        await exchange.send(event(chunk_of({"role": "assistant", "content": "hello"})))
        await carry_on.wait()
        await exchange.send(event(chunk_of({}, finish_reason="stop")) + b"data: [DONE]\n\n")
        await exchange.end()

    async with BadUpstream() as upstream:
        upstream.will(behave)
        yield upstream, carry_on


async def refused(url: str) -> None:
    """Return once new connections are refused."""
    host, _, port = url.removeprefix("http://").partition(":")
    while True:
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except OSError:
            return
        writer.close()
        await asyncio.sleep(0.01)  # until the signal has been heard
