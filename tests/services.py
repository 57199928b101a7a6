"""PostgreSQL, Redis and nginx of a test's own, on free ports of the loopback interface: they can be stopped and killed.

Knows programs, their configuration and their signals. What is not installed is skipped with a reason; where services
are required (SPILLWAY_REQUIRE_SERVICES=1), it fails.
"""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

PATIENCE_S = 240.0  # of a machine that does much else
_UNPRIVILEGED = ("postgres", "nobody")  # PostgreSQL refuses to run as root


def free_port() -> int:
    """One that nobody listens on at the moment."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


class Program:
    """One that listens on a port, and can be started again after it was stopped.

    user : as whom it runs; None: as the test itself.   log : what it says goes to the end of this file.
    """

    def __init__(self, command: Sequence[str], port: int, log: Path, *, user: str | None = None) -> None:
        self._command, self.port, self._log, self._user = list(command), port, log, user
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        """Return once its port takes connections."""
        group = None if self._user is None else pwd.getpwnam(self._user).pw_gid
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, stdout=log, stderr=log, user=self._user, group=group, cwd=self._log.parent
            )
        until = time.monotonic() + PATIENCE_S
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            if self.process.poll() is not None or time.monotonic() > until:
                raise AssertionError(f"{self._command[0]} does not listen: {self._log.read_text()[-2000:]}")
            time.sleep(0.02)

    def stop(self, sign: signal.Signals = signal.SIGTERM) -> None:
        """Send it a signal, and return once it has ended."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(sign)
        try:
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


@contextmanager
def own_postgres(*settings: str) -> Iterator[tuple[Program, str]]:
    """A server without any user's data, and the URL of its database. SIGINT stops it fast, SIGQUIT at once.

    settings : further ones, as ``name=value``.
    """
    bindir = _postgres_bindir()
    user = _unprivileged()
    with tempfile.TemporaryDirectory(prefix="spillway-postgres-") as name:
        folder, port = Path(name), free_port()
        if user is not None:
            shutil.chown(folder, user)
        group = None if user is None else pwd.getpwnam(user).pw_gid
        made = subprocess.run(
            [str(bindir / "initdb"), "-D", str(folder / "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8", "-N"],
            user=user,
            group=group,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.returncode == 0, made.stderr
        command = [str(bindir / "postgres"), "-D", str(folder / "data"), "-p", str(port)]
        for setting in ("listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200", *settings):
            command += ["-c", setting]
        program = Program(command, port, folder / "log", user=user)
        program.start()
        try:
            yield program, f"postgresql+asyncpg://postgres@127.0.0.1:{port}/postgres"
        finally:
            program.stop(signal.SIGQUIT)


@contextmanager
def own_redis(folder: Path) -> Iterator[tuple[Program, str]]:
    """A server that keeps nothing on disk, and its URL."""
    port = free_port()
    keeping = ["--save", "", "--appendonly", "no", "--dir", str(folder)]
    command = [needed("redis-server"), "--port", str(port), "--bind", "127.0.0.1", *keeping]
    program = Program(command, port, folder / "redis.log")
    program.start()
    try:
        yield program, f"redis://127.0.0.1:{port}/0"
    finally:
        program.stop()


@contextmanager
def own_nginx(folder: Path, ports: Sequence[int], *, further: str = "") -> Iterator[tuple[Program, str]]:
    """nginx before those ports, and its URL. further : servers beside it.

    It asks the next one only where nothing was sent, which for POST is its own rule; who refuses is left alone for a
    second. Every answer says in ``x-upstream`` who was asked.
    """
    port = free_port()
    servers = "\n".join(f"    server 127.0.0.1:{one} max_fails=1 fail_timeout=1s;" for one in ports)
    places = "\n".join(
        f"  {kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    path = folder / "nginx.conf"
    path.write_text(f"""
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log notice;
{"user root;" if os.geteuid() == 0 else ""}
events {{ worker_connections 4096; }}
http {{
  access_log off;
{places}
  upstream replicas {{
{servers}
  }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    keepalive_requests 1000000;
    location / {{
      proxy_pass http://replicas;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_read_timeout 600s;
      proxy_connect_timeout 2s;
      proxy_next_upstream error timeout;
      add_header x-upstream $upstream_addr always;
    }}
  }}
  {further}
}}
""")
    command = [needed("nginx"), "-c", str(path), "-p", str(folder), "-e", str(folder / "nginx-error.log")]
    program = Program(command, port, folder / "nginx.log")
    program.start()
    try:
        yield program, f"http://127.0.0.1:{port}"
    finally:
        program.stop()


def needed(program: str) -> str:
    """Where a program is; without it there is no test."""
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    return found or _missing(f"{program} is not installed here (Debian: apt install {program.removesuffix('-server')})")


def _postgres_bindir() -> Path:
    candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    named = shutil.which("initdb")
    if named is not None or candidates:
        return Path(named or candidates[-1]).parent
    return Path(_missing("PostgreSQL's server is not installed here (Debian: apt install postgresql)"))


def _unprivileged() -> str | None:
    if os.geteuid() != 0:
        return None
    known = {user.pw_name for user in pwd.getpwall()}
    return next((name for name in _UNPRIVILEGED if name in known), None) or _missing("no user but root to run it as")


def _missing(reason: str) -> str:
    if os.environ.get("SPILLWAY_REQUIRE_SERVICES") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
