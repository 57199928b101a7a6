"""The image, built from the Dockerfile and run as Kubernetes would run it: user 10001, a read-only root, no capability.

    make evidence ARGS="-k image_smoke"         # as root; needs buildah

The base is the Dockerfile's own, or SPILLWAY_BASE_IMAGE; `debootstrap` makes one of Debian's packages, for where no
registry of images can be reached. SPILLWAY_BUILD_ARGS are more arguments of `buildah build`, e.g. --volume for the
certificates of a company. SPILLWAY_IMAGE_STORE keeps layers for the next time.
"""

import asyncio
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.contained import UID, contained, said_by
from tests.upstream import BadUpstream

ROOT = Path(__file__).parents[2]
TAG = "localhost/spillway:smoke"
DEBIAN = ("bookworm", "http://deb.debian.org/debian")

pytestmark = [pytest.mark.evidence, pytest.mark.timeout(3600)]


@dataclass(frozen=True)
class Image:
    """root : its files, mounted.   config : how it says it is to be run."""

    root: Path
    config: dict[str, Any]

    @property
    def env(self) -> list[str]:
        return list(self.config["Env"])


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    needed = [program for program in ("buildah", "unshare", "setpriv") if shutil.which(program) is None]
    if needed or os.geteuid() != 0:
        pytest.skip(f"NOT RUN: the image needs root and {', '.join(needed) or 'nothing else'} here")
    store = Path(os.environ.get("SPILLWAY_IMAGE_STORE", tmp_path_factory.mktemp("store")))
    storage = ["buildah", "--root", str(store / "root"), "--runroot", str(store / "run")]

    def buildah(*words: str) -> str:
        done = subprocess.run(
            [*storage, *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=sys.stderr, text=True, check=True
        )
        return done.stdout.strip()

    base = os.environ.get("SPILLWAY_BASE_IMAGE", "")
    if base == "debootstrap":
        base = "localhost/spillway-base"
        if base not in buildah("images", "--format", "{{.Name}}"):
            debian = store / "debian"
            packages = "--include=python3,python3-venv,python-is-python3,ca-certificates"
            subprocess.run(
                ["debootstrap", "--variant=minbase", packages, DEBIAN[0], debian, DEBIAN[1]],
                stdout=sys.stderr,
                check=True,
            )
            empty = buildah("from", "scratch")
            buildah("add", "--quiet", empty, str(debian), "/")
            buildah("commit", "--quiet", "--rm", empty, base)
    more = [
        *(["--build-arg", f"BASE_IMAGE={base}"] if base else []),
        *shlex.split(os.environ.get("SPILLWAY_BUILD_ARGS", "")),
    ]
    buildah("build", "--layers", "--quiet", "--format", "docker", "--isolation", "chroot", *more, "--tag", TAG, ".")
    inspected = json.loads(buildah("inspect", "--type", "image", TAG))
    container = buildah("from", TAG)
    try:
        yield Image(root=Path(buildah("mount", container)), config=inspected["Docker"]["config"])
    finally:
        buildah("umount", container)
        buildah("rm", container)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    folder = tmp_path / "config"
    folder.mkdir()
    folder.chmod(0o755)
    return folder


def test_the_image_smoke_says_how_it_is_run(image: Image) -> None:
    assert image.config["User"] == f"{UID}:{UID}"
    assert image.config["Entrypoint"] == ["spillway"]
    assert image.config["Healthcheck"]["Test"][0] == "CMD"


def test_the_image_smoke_runs_without_a_right_and_without_a_writable_root(image: Image, config: Path) -> None:
    assert said_by(image.root, config, image.env, "id", "-u") == (0, f"{UID}\n")
    for place in ("/written", "/opt/spillway/written", "/etc/spillway/written"):
        code, said = said_by(image.root, config, image.env, "touch", place)
        assert code != 0
        assert "Read-only file system" in said
    _, status = said_by(image.root, config, image.env, "cat", "/proc/self/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert {fields[name].strip("0") for name in ("CapEff", "CapPrm", "CapBnd")} == {""}
    assert fields["NoNewPrivs"] == "1"
    assert said_by(image.root, config, image.env, "spillway", "--version")[0] == 0
    no_fetch = "LITELLM_LOCAL_MODEL_COST_MAP=True"
    libraries = "import asyncpg, duckdb, lightgbm, litellm, opentelemetry.sdk, pyarrow, redis, sklearn"
    assert said_by(image.root, config, [*image.env, no_fetch], "python", "-c", libraries) == (0, "")


async def test_the_image_smoke_answers_and_stops(image: Image, config: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    async with BadUpstream() as upstream:
        (config / "spillway.yaml").write_text(
            f"server: {{host: 127.0.0.1, port: {port}}}\nauth: {{required: false}}\n"
            'database: {url: "sqlite+aiosqlite:////var/lib/spillway/spillway.db"}\n'
            f"models: [{{name: large, backend: openai_compatible, base_url: '{upstream.base_url}',\n"
            "  price: {input_usd_per_mtok: 1, output_usd_per_mtok: 2}}]\n"
            "policies: [{name: default, safe_model: large}]\n"
        )
        process = contained(image.root, config, image.env, [*image.config["Entrypoint"], *image.config["Cmd"]])
        try:
            begun = time.monotonic()
            ready = await asyncio.to_thread(_ready, f"{url}/readyz", process)
            print(f"\nready after {time.monotonic() - begun:.1f} s: {ready}")
            answer = await asyncio.to_thread(_asked, url)
            assert answer["choices"][0]["message"]["content"] == "hello there"
            print(f"answered: {answer['choices'][0]['message']['content']}, for ${answer['usage']['cost']}")
        finally:
            process.terminate()
            said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said[-2000:]


def _ready(url: str, process: subprocess.Popen[str]) -> str:
    for _ in range(300):
        assert process.poll() is None, process.communicate()[0]
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            time.sleep(0.2)
    raise AssertionError("it was never ready")


def _asked(url: str) -> dict[str, Any]:
    body = {"model": "auto", "messages": [{"role": "user", "content": "hello"}]}
    request = urllib.request.Request(
        f"{url}/v1/chat/completions", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: dict[str, Any] = json.loads(answer.read())
        return found
