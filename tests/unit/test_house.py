"""The house rules that no linter knows: small files, short functions, modules that say what they know, honest names."""

import ast
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = ("gateway", "router", "scorer")
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "common", "core", "manager", "misc"}
TOP_LEVEL = {
    *("pyproject.toml", "README.md", "gateway", "scorer", "router", "migrations", "tests", "dashboards", "helm"),
    *(
        "LICENSE",
        "CHANGELOG.md",
        "Makefile",
        "Dockerfile",
        "compose.yaml",
        "requirements.lock",
        "requirements-dev.lock",
    ),
}


def tracked(*patterns: str) -> list[Path]:
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [REPOSITORY / line for line in listing.stdout.splitlines() if (REPOSITORY / line).is_file()]


SOURCES = tracked(*(f"{package}/**.py" for package in PACKAGES), "migrations/**.py", "dashboards/**.py", "tests/**.py")


def name(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_files_are_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_FILE_LINES


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_functions_are_short(path: Path) -> None:
    long = [
        f"{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > MAX_FUNCTION_LINES
    ]
    assert not long


@pytest.mark.parametrize("path", [path for path in SOURCES if path.read_text().strip()], ids=name)
def test_modules_say_what_they_know(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_names_say_something() -> None:
    assert not [
        name(path) for path in SOURCES if NAMES_THAT_SAY_NOTHING & {path.stem, *path.relative_to(REPOSITORY).parts}
    ]


def test_the_top_level_holds_what_it_should() -> None:
    visible = {path.relative_to(REPOSITORY).parts[0] for path in tracked()}
    assert {entry for entry in visible if not entry.startswith(".")} <= TOP_LEVEL
