"""Runs the gateway under uvicorn until it is told to stop.

Knows the server's options (one process, uvloop, httptools) and signals: SIGTERM and SIGINT stop it once requests under
way have ended, a further one or the end of ``server.drain_s`` ends them, SIGHUP reads the configuration anew. From the
first one on it is not ready; it takes requests for ``server.leave_s`` more, so that load balancers can look away first.
"""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Literal

import uvicorn
import uvloop
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.app import Gateway
from gateway.config.settings import Settings
from gateway.database import Database
from gateway.errors import GatewayError
from gateway.telemetry.logs import log_to_stderr

_log = logging.getLogger("spillway")


_FIRST_WORDS_S = 1.0  # for a request on a connection that was taken in just now


class Server(uvicorn.Server):
    """uvicorn's, which leaves signals to whom they concern, and closes no connection on which a request may be coming.

    leave_s : it takes connections for so long after it was told to stop.   left : called when it is.
    """

    def __init__(self, config: uvicorn.Config, *, leave_s: float = 0.0, left: Callable[[], None] | None = None) -> None:
        super().__init__(config)
        self._leave_s, self._left = leave_s, left
        self._leaving = False

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield

    def stop(self) -> None:
        """Take no more connections soon, and end with the requests under way; asked again, end those too."""
        if not self._leaving:
            self._leaving = True
            if self._left is not None:
                self._left()
            if self._leave_s:
                asyncio.get_running_loop().call_later(self._leave_s, self._leave)
                return
        if not self.should_exit:
            self._leave()
            return
        tasks = tuple(self.server_state.tasks)
        _log.warning("asked again to stop: %d requests under way are ended", len(tasks))
        for task in tasks:
            task.cancel()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """uvicorn's, which would cut off whoever has connected and whose request it has not read yet."""
        taken = [connection for listening in sockets or () for connection in _taken_by_the_kernel(listening)]
        for server in self.servers:
            server.close()
        for listening in sockets or ():
            listening.close()
        loop = asyncio.get_running_loop()
        for connection in taken:
            await loop.connect_accepted_socket(self._protocol, connection)
        until = loop.time() + _FIRST_WORDS_S
        while loop.time() < until and any(map(_has_asked_nothing, self.server_state.connections)):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await super().shutdown(sockets)

    def _protocol(self) -> asyncio.Protocol:
        return HttpToolsProtocol(self.config, self.server_state, self.lifespan.state)

    def _leave(self) -> None:
        self.should_exit = True


def _has_asked_nothing(connection: object) -> bool:
    return isinstance(connection, HttpToolsProtocol) and connection.cycle is None


def _taken_by_the_kernel(listening: socket.socket) -> list[socket.socket]:
    """Connections that stand in its queue: closed with them in it, it would reset them, requests and all."""
    taken = list[socket.socket]()
    listening.setblocking(False)
    with contextlib.suppress(OSError):
        while True:
            taken.append(listening.accept()[0])
    return taken


def run(read: Callable[[], Settings]) -> int:
    """Serve until SIGTERM or SIGINT; the exit status. Raises GatewayError for what stands against starting.

    read : the settings as their file has them, now and whenever it is to be read again.
    """
    log_to_stderr()
    settings = read()
    gateway = Gateway(settings, reread=read)
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(_listen("server", settings.server.host, settings.server.port))
        admin: socket.socket | None = None
        if settings.admin.port is not None:
            admin = stack.enter_context(_listen("admin", settings.admin.host, settings.admin.port))
        runner = stack.enter_context(asyncio.Runner(loop_factory=uvloop.new_event_loop))
        runner.run(_migrate(settings))
        if admin is not None:
            _log.info("admin on %s", _url(admin))
        _log.info("serving on %s", _url(listening))
        return runner.run(_serve(gateway, settings, listening, admin))


async def _serve(gateway: Gateway, settings: Settings, listening: socket.socket, admin: socket.socket | None) -> int:
    options = _options(gateway.app, settings, lifespan="on")
    server = Server(options, leave_s=settings.server.leave_s, left=gateway.leave)
    loop, reloads = asyncio.get_running_loop(), set[asyncio.Task[None]]()

    def reload() -> None:
        task = asyncio.create_task(_reload(gateway))
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    for stop in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(stop, server.stop)
    loop.add_signal_handler(signal.SIGHUP, reload)
    async with contextlib.AsyncExitStack() as stack:
        if admin is not None and gateway.admin_app is not None:
            beside = Server(_options(gateway.admin_app, settings, lifespan="off"))
            await stack.enter_async_context(_beside(beside, admin))
        await server.serve(sockets=[listening])
    return 0 if server.started else 3


@contextlib.asynccontextmanager
async def _beside(server: Server, listening: socket.socket) -> AsyncGenerator[None]:
    """Serve for as long as the other server does, so that its stopping can be watched."""
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield
    finally:
        server.stop()
        await serving


async def _reload(gateway: Gateway) -> None:
    with contextlib.suppress(GatewayError):  # what is wrong with the file has been logged
        await gateway.reloading.reload()


def _options(app: FastAPI, settings: Settings, *, lifespan: Literal["on", "off"]) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan=lifespan,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,  # longer than the usual load balancer's 60, so that it never meets a closed connection
        timeout_graceful_shutdown=int(settings.server.drain_s),
    )


async def _migrate(settings: Settings) -> None:
    """Before the server is up, so that what is wrong with the database is said in words."""
    database = Database(settings.database_url)
    try:
        await (database.migrate() if settings.database.migrate_at_start else database.await_schema())
    finally:
        await database.dispose()


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _listen(section: str, host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host.strip("[]"), port))
    except OSError as error:
        listening.close()
        remedy = "--port gives another" if section == "server" else "admin.port gives another"
        raise GatewayError(f"{section}: cannot listen on {host}, port {port}: {error.strerror}; {remedy}") from error
    return listening
