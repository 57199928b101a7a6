"""Processes become ready, are stopped, tell why they failed, and do not outlive who started them."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.demo.children import HOST, Child, free_port
from gateway.demo.errors import ChildFailed


@contextmanager
def simulators(folder: Path, port: int) -> Iterator[Child]:
    child = Child("simulated models", ["simulate", "--port", str(port)], cwd=folder, log=folder / "simulators.log")
    try:
        yield child
    finally:
        child.stop()


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return not Path("/proc").is_dir()


def gone(pid: int, within_s: float = 20) -> bool:
    deadline = time.monotonic() + within_s
    while is_alive(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_a_child_becomes_ready_and_stops(tmp_path: Path) -> None:
    port = free_port()
    with simulators(tmp_path, port) as child:
        child.wait_ready(f"http://{HOST}:{port}/healthz")
        child.check()
    assert gone(child.pid, 0)


def test_a_child_that_fails_shows_the_end_of_its_log(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with (
            simulators(tmp_path, port) as child,
            pytest.raises(ChildFailed, match=r"(?s)simulated models ended with status.*address already in use"),
        ):
            child.wait_ready(f"http://{HOST}:{free_port()}/healthz")


def test_a_command_that_fails_says_so(tmp_path: Path) -> None:
    child = Child("gateway", ["serve", "--config", "none.yaml"], cwd=tmp_path, log=tmp_path / "gateway.log")
    try:
        with pytest.raises(ChildFailed, match=r"(?s)failed with status 1.*none\.yaml"):
            child.finish()
    finally:
        child.stop()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_child_ends_when_its_starter_is_killed(tmp_path: Path) -> None:
    port = free_port()
    program = (
        "import sys, time; from pathlib import Path; from gateway.demo.children import Child;"
        f"child = Child('x', ['simulate', '--port', '{port}'], cwd=Path('.'), log=Path('x.log'));"
        f"child.wait_ready('http://{HOST}:{port}/healthz'); print(child.pid, flush=True); time.sleep(100)"
    )
    starter = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    pid = int(starter.stdout.readline())
    with urllib.request.urlopen(f"http://{HOST}:{port}/healthz", timeout=5) as response:
        assert response.status == 200
    starter.kill()
    starter.wait()
    starter.stdout.close()
    assert gone(pid)


def test_a_port_that_is_free_is_taken_as_wished_and_another_if_not() -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        assert free_port(port) != port
    assert free_port(port) == port
