"""The demo as a new user runs it: real processes, from nothing to a gateway that answers the openai client."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import openai
import pytest

_WITHIN_S = 170.0


@dataclass(frozen=True, slots=True)
class RunningDemo:
    process: subprocess.Popen[str]
    output: str
    folder: Path

    def told(self, name: str) -> str:
        found = re.search(rf"^{name}\s+(\S+)", self.output, re.MULTILINE)
        assert found is not None, self.output
        return found[1]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "gateway.cli", "demo", *arguments]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    """A small demo that was left running."""
    folder = tmp_path_factory.mktemp("demo") / "spillway-demo"
    arguments = command("--queries", "150", "--port", "0", "--directory", str(folder))
    process = subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    watchdog = threading.Timer(_WITHIN_S, process.kill)
    watchdog.start()
    lines: list[str] = []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        if line.startswith("Ctrl-C"):
            break
    watchdog.cancel()
    yield RunningDemo(process, "".join(lines), folder)
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.timeout(240)
def test_the_demo_compares_and_accounts_and_keeps_running(demo: RunningDemo) -> None:
    assert demo.process.poll() is None, demo.output
    for way in ("always simulated-small", "always simulated-medium", "always simulated-large", "the cascade"):
        assert re.search(rf"{way}.*\d+\.\d%.*\d\.\d+", demo.output)
    assert "50 new questions" in demo.output
    assert "to the nano-dollar" in demo.output
    assert "\x1b" not in demo.output
    assert "Traceback" not in demo.output


@pytest.mark.timeout(240)
def test_the_endpoint_that_it_names_answers_the_openai_client(demo: RunningDemo) -> None:
    with openai.OpenAI(base_url=demo.told("base_url"), api_key=demo.told("api key"), max_retries=0) as client:
        assert "auto" in [model.id for model in client.models.list()]
        answer = client.chat.completions.create(model="auto", messages=[{"role": "user", "content": "What is 17 + 4?"}])
        assert answer.model.startswith("simulated-")
        assert re.search(
            r"17 \+ 4|Answer: \S", answer.choices[0].message.content or ""
        )  # a terse model shows no working
        words = client.chat.completions.create(model="auto", messages=[{"role": "user", "content": "Who are you?"}])
        assert "simulated model" in (words.choices[0].message.content or "")


@pytest.mark.timeout(240)
def test_a_second_demo_keeps_out_of_the_folder(demo: RunningDemo) -> None:
    second = subprocess.run(command("--directory", str(demo.folder)), capture_output=True, text=True, timeout=60)
    assert second.returncode == 1
    assert "another demo is running" in second.stderr
    assert "Traceback" not in second.stderr


@pytest.mark.timeout(240)
def test_ctrl_c_stops_everything(demo: RunningDemo) -> None:
    children = _children(demo.process.pid)
    os.kill(demo.process.pid, signal.SIGINT)
    assert demo.process.wait(30) == 0
    assert not [child for child in children if _alive(child)]
    with (
        openai.OpenAI(base_url=demo.told("base_url"), api_key="none", max_retries=0) as client,
        pytest.raises(openai.APIConnectionError),
    ):
        client.models.list()


def test_a_folder_of_somebody_else_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    refused = subprocess.run(command("--directory", str(tmp_path)), capture_output=True, text=True, timeout=60)
    assert refused.returncode == 1
    assert "was not made by a demo" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_demo_that_is_ended_early_leaves_no_process(tmp_path: Path, how: signal.Signals) -> None:
    log = tmp_path / "output.txt"
    with log.open("w") as output:
        process = subprocess.Popen(
            command("--port", "0", "--directory", str(tmp_path / "demo")),
            stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        _until(lambda: "[2/6]" in log.read_text(), within_s=60)
        children = _children(process.pid)
        assert len(children) == 2
        process.send_signal(how)
        assert process.wait(30) == (130 if how == signal.SIGTERM else -how)
        _until(lambda: not [child for child in children if _alive(child)], within_s=30)
        assert "Traceback" not in log.read_text()
    finally:
        process.kill()
        process.wait()


def _until(happened: object, *, within_s: float) -> None:
    assert callable(happened)
    deadline = time.monotonic() + within_s
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def _children(pid: int) -> list[int]:
    listing = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = [line.split() for line in listing.splitlines()]
    return [int(child) for child, parent in pairs if int(parent) == pid]


def _alive(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
    return bool(state) and not state.startswith("Z")
