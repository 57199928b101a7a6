"""A way to a PostgreSQL server that can be cut and mended, or fall silent: as one that is stopped, or hangs, looks.

Knows bytes and connections.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from sqlalchemy.engine import make_url


class Line:
    """The way there. ``cut`` drops every connection and takes no new one; ``hang`` takes them and brings nothing."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self.port = 0

    async def mend(self) -> None:
        """Let connections through, at the same port as before."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Nothing goes through any more, and what was under way is broken off."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def hang(self) -> None:
        """Connections stay and are taken, and nothing comes through."""
        self._flows.clear()

    def resume(self) -> None:
        """What had been sent meanwhile comes through, and all that is sent from now on."""
        self._flows.set()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._host, self._port)
        self._writers |= {writer, back}
        for source, sink in ((reader, back), (there, writer)):
            task = asyncio.create_task(self._carry(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while content := await source.read(65_536):
                await self._flows.wait()
                sink.write(content)
                await sink.drain()
        sink.transport.abort()
        self._writers.discard(sink)


@asynccontextmanager
async def a_line(url: str) -> AsyncGenerator[tuple[Line, str]]:
    """A line to the server of a URL, and the URL that goes over it."""
    there = make_url(url)
    line = Line(there.host or "127.0.0.1", there.port or 5432)
    await line.mend()
    try:
        yield line, there.set(host="127.0.0.1", port=line.port).render_as_string(hide_password=False)
    finally:
        await line.cut()
