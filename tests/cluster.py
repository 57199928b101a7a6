"""Several gateways as processes of their own, on one PostgreSQL and one Redis, behind nginx: a deployment in small.

    with cluster(folder, upstream.base_url, replicas=3) as one:
        one.replicas[0].stop(); one.replicas[0].start()      # SIGTERM, drain, start again at the same port
        one.postgres.stop(signal.SIGINT); one.postgres.start()

Knows processes. What is asked of them and what comes of it is the tests' to know.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.database import Database
from tests.gateway_process import ROOT
from tests.gateway_server import models, written
from tests.services import PATIENCE_S, Program, free_port, own_nginx, own_postgres, own_redis

TOKEN = "an-operators-token-of-some-length"
REDIS_PATIENCE_S = 5.0
OBSERVING = "policies: [{name: default, safe_model: large}]\n"


@dataclass(slots=True)
class Replica:
    """One `spillway serve`, always at the same port."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder / f"replica-{self.port}.log"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self, *, wait: bool = True) -> None:
        """Return once it is ready, or at once."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gateway.cli", "serve", "--port", str(self.port)],
                cwd=self.folder,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
                stderr=log,
            )
        if wait:
            self.await_ready()

    def await_ready(self) -> None:
        """Return once it says so itself."""
        until = time.monotonic() + PATIENCE_S
        while self.readiness() != 200:
            alive = self.process is not None and self.process.poll() is None
            if not alive or time.monotonic() > until:
                raise AssertionError(f"it is not ready: {self.log.read_text()[-3000:]}")
            time.sleep(0.02)

    def readiness(self) -> int | None:
        """The status of /readyz; None where nobody answers."""
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return None

    def stop(self) -> int:
        """SIGTERM; the exit status once it has ended by itself."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S + 60)

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def cpu_s(self) -> float:
        """Processor time since its start, its own and the kernel's for it."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_mb(self) -> float:
        """Memory that is its own or shared, as the kernel counts it."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """What runs. url : nginx's."""

    folder: Path
    url: str
    replicas: Sequence[Replica]
    postgres: Program
    database_url: str
    redis: Program
    redis_url: str

    def database(self) -> Database:
        """The replicas' database, to look into."""
        return Database(self.database_url)

    def admin(self, method: str, path: str, body: Any = None, *, at: str | None = None) -> Any:
        """What the operator is told. at : another URL than nginx's."""
        request = urllib.request.Request(
            (at or self.url) + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"authorization": f"Bearer {TOKEN}", "content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"null")

    def key(self, **wanted: Any) -> Mapping[str, str]:
        """A new key: its ``id`` and its ``secret``."""
        made: Mapping[str, str] = self.admin("POST", "/admin/keys", {"name": "app"} | wanted)
        return made


def configuration(upstream_url: str, database_url: str, redis_url: str, *sections: str) -> tuple[str, ...]:
    """spillway.yaml of every replica."""
    given = "".join(sections)
    return (
        "server: {access_log: false}\n" if "server:" not in given else "",
        "cache: {enabled: false}\n" if "cache:" not in given else "",
        f"admin: {{token: {TOKEN}}}\n",
        f"database: {{url: '{database_url}'}}\n",
        # a process that gets no processor takes its own lateness for Redis', and would count for itself meanwhile
        f"redis: {{url: '{redis_url}', timeout_s: {REDIS_PATIENCE_S}}}\n",
        models(large=upstream_url, small=upstream_url) if "models:" not in given else "",
        OBSERVING if "policies:" not in given else "",
        *sections,
    )


@contextmanager
def cluster(
    folder: Path, upstream_url: str, *sections: str, replicas: int = 3, started: bool = True, further: str = ""
) -> Iterator[Cluster]:
    """So many replicas. sections : of the configuration, in place of the usual ones.

    started : else they are there, and nobody has started them.   further : servers of nginx's beside the gateways'.
    """
    with contextlib.ExitStack() as stack:
        postgres, database_url = stack.enter_context(own_postgres())
        redis, redis_url = stack.enter_context(own_redis(folder))
        written(folder, *configuration(upstream_url, database_url, redis_url, *sections))
        servers = [Replica(folder=folder, port=free_port()) for _ in range(replicas)]
        _, url = stack.enter_context(own_nginx(folder, [server.port for server in servers], further=further))
        for server in servers:
            stack.callback(server.kill)
            if started:
                server.start(wait=False)
        for server in servers if started else ():
            server.await_ready()
        yield Cluster(
            folder=folder,
            url=url,
            replicas=servers,
            postgres=postgres,
            database_url=database_url,
            redis=redis,
            redis_url=redis_url,
        )
