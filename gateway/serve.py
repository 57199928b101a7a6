"""Runs the gateway under uvicorn until it is told to stop.

Knows the server's options: one process, uvloop, httptools, and time for requests under way after SIGTERM.
"""

import asyncio
import logging
import signal
import socket

import uvicorn

from gateway.app import create_app
from gateway.config.settings import Settings
from gateway.database import Database
from gateway.errors import GatewayError
from gateway.telemetry import log_to_stderr


def server_of(settings: Settings) -> uvicorn.Server:
    """The server, ready to run. Raises ConfigError."""
    config = uvicorn.Config(
        create_app(settings),
        host=settings.server.host,
        port=settings.server.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,  # longer than the usual load balancer's 60, so that it never meets a closed connection
        timeout_graceful_shutdown=int(settings.server.drain_s),
    )
    return uvicorn.Server(config)


def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; the exit status. Raises GatewayError for what stands against starting."""
    log_to_stderr()
    server = server_of(settings)
    listening = _listen(settings)
    try:
        asyncio.run(_migrate(settings))
        host, port = listening.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        logging.getLogger("spillway").info("serving on http://%s:%s", shown, port)
        for stop in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises them again once it has stopped in good order
            signal.signal(stop, lambda _number, _frame: None)
        server.run(sockets=[listening])
    finally:
        listening.close()
    return 0 if server.started else 3


async def _migrate(settings: Settings) -> None:
    """Before the server is up, so that what is wrong with the database is said in words."""
    database = Database(settings.database_url)
    try:
        await (database.migrate() if settings.database.migrate_at_start else database.await_schema())
    finally:
        await database.dispose()


def _listen(settings: Settings) -> socket.socket:
    host, port = settings.server.host, settings.server.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host.strip("[]"), port))
    except OSError as error:
        listening.close()
        raise GatewayError(
            f"server: cannot listen on {host}, port {port}: {error.strerror}; --port gives another"
        ) from error
    return listening
