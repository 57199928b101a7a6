"""The demo's processes: started, waited for, stopped, and never left behind.

Knows ports, logs and signals. Does not know what the commands do.
"""

import contextlib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from gateway.demo.errors import ChildFailed

HOST = "127.0.0.1"
_READY_S, _POLL_S, _STOP_S = 60.0, 0.05, 15.0


def free_port(preferred: int = 0) -> int:
    """The preferred port if nobody listens there, else any free one."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError(f"no port is free on {HOST}")


class Child:
    """One ``spillway`` command in a process of its own, out of reach of the terminal's Ctrl-C, its output in a log.

    name : what it is called when something goes wrong, e.g. ``gateway``.
    """

    def __init__(self, name: str, arguments: Sequence[str], *, cwd: Path, log: Path) -> None:
        self.name, self._log = name, log
        with log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own module
                [sys.executable, "-P", "-m", "gateway.demo.leash", *arguments],
                cwd=cwd,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_ready(self, url: str, *, within_s: float = _READY_S) -> None:
        """Return as soon as ``url`` answers 200. Raises ChildFailed if the process ends first or takes too long."""
        deadline = time.monotonic() + within_s
        while not _answers(url):
            self.check()
            if time.monotonic() > deadline:
                raise ChildFailed(self.name, f"did not become ready within {within_s:.0f} s", self._log)
            time.sleep(_POLL_S)

    def check(self) -> None:
        """Raise ChildFailed if the process has ended."""
        status = self._process.poll()
        if status is not None:
            raise ChildFailed(self.name, f"ended with status {status}", self._log)

    def finish(self) -> None:
        """Wait until it is done. Raises ChildFailed if it did not do what it was to do."""
        status = self._process.wait()
        if status:
            raise ChildFailed(self.name, f"failed with status {status}", self._log)

    def stop(self) -> None:
        """Tell it to stop, and make it stop if it does not."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310 - http on loopback, written by us
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False
