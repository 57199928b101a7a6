"""The simulated models on a real socket."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn

from gateway.demo.server import application


@pytest.fixture(scope="module")
def simulators() -> Iterator[str]:
    """The base URL of simulated models that answer without delay."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(application(seed=5, pace=0), log_level="warning", access_log=False, timeout_keep_alive=75)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    server.should_exit = True
    thread.join(10)
    listener.close()
