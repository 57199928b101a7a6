"""Running the real command and the real server, as a user would: child processes, real sockets, real files.

Knows how to start and stop them. Knows nothing of what they are asked.
"""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

COMMAND = (sys.executable, "-m", "gateway.cli")
START_SECONDS = 60


def spillway(*arguments: str, folder: Path, fails: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a command to its end. Its exit status must be 0, or with ``fails`` must not be."""
    done = subprocess.run(
        [*COMMAND, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=600, env=_environment()
    )
    assert (done.returncode != 0) == fails, f"spillway {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
    return done


@contextmanager
def serving(config: Path) -> Iterator[str]:
    """A gateway on a free port; yields its base URL without the path. It must stop cleanly on SIGTERM."""
    process = subprocess.Popen(
        [*COMMAND, "serve", "--config", str(config), "--port", "0"],
        cwd=config.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=_environment(),
    )  # fmt: skip
    lines: list[str] = []
    address = threading.Event()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if "http://" in line:
                address.set()
        address.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        assert address.wait(START_SECONDS), "the gateway did not say where it listens"
        found = re.search(r"http://[\d.]+:\d+", "".join(lines))
        assert found, "".join(lines)
        yield found.group()
    finally:
        process.send_signal(signal.SIGTERM)
        status = process.wait(timeout=60)
        reader.join(timeout=10)
    assert status == 0, "".join(lines)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "120"}
