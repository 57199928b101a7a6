"""Stopping: whoever has connected by then is answered, and a load balancer is told before."""

import asyncio
import socket
from typing import Any

import uvicorn

from gateway.serve import Server

REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """An application without a lifespan."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})


async def started(listening: socket.socket, **options: Any) -> tuple[Server, asyncio.Task[None]]:
    config = uvicorn.Config(hello, http="httptools", lifespan="off", log_config=None, access_log=False)
    server = Server(config, **options)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    return server, serving


def connected(listening: socket.socket) -> socket.socket:
    """A client whose connection the kernel takes; this thread's loop has not heard of it."""
    client = socket.create_connection(listening.getsockname(), timeout=10)
    client.sendall(REQUEST)
    return client


def answer(client: socket.socket) -> bytes:
    heard = b""
    with client:
        while content := client.recv(4096):
            heard += content
    return heard


async def test_those_in_the_kernels_queue_at_the_end_are_answered() -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    server, serving = await started(listening)
    server.should_exit = True
    clients = list[socket.socket]()
    while server.servers[0].is_serving():
        clients = [connected(listening) for _ in range(5)]  # just before each turn in which it may close
        await asyncio.sleep(0)
    answers = await asyncio.gather(*(asyncio.to_thread(answer, client) for client in clients))
    assert [heard[-5:] for heard in answers] == [b"hello"] * 5
    await serving


async def test_who_has_connected_has_a_moment_for_the_request() -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    server, serving = await started(listening)
    client = socket.create_connection(listening.getsockname(), timeout=10)
    while not server.server_state.connections:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    server.stop()
    while server.servers[0].is_serving():  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    client.sendall(REQUEST)
    assert (await asyncio.to_thread(answer, client)).endswith(b"hello")
    await serving


async def test_it_is_said_before_connections_are_refused() -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    said: list[str] = []
    server, serving = await started(listening, leave_s=600.0, left=lambda: said.append("leaving"))
    server.stop()
    assert (said, server.should_exit) == (["leaving"], False)
    assert (await asyncio.to_thread(answer, connected(listening))).endswith(b"hello")
    server.stop()  # asked again, it does not wait
    await serving
    assert said == ["leaving"]
