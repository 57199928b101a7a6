"""The command hangs together lazily: help is quick, and a broken module breaks its own commands only."""

import importlib.metadata
import subprocess
import sys
import types
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from gateway import cli
from gateway.errors import GatewayError

HEAVY = {"fastapi", "uvicorn", "sqlalchemy", "numpy", "lightgbm", "litellm", "aiohttp", "pydantic", "sklearn"}


def test_help_names_every_command_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['spillway', '--help']\n"
        "from gateway.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print('LOADED', *sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    told, _, loaded = run.stdout.partition("LOADED")
    assert not HEAVY & set(loaded.split())
    for command in ("serve", "init", "check-config", "keys", *(brought.name for brought in cli.BROUGHT)):
        assert command in told


def test_the_version_is_that_of_the_package() -> None:
    told = CliRunner().invoke(cli.build(["--version"]), ["--version"])
    assert (told.exit_code, told.output) == (0, f"spillway {importlib.metadata.version('spillway')}\n")


def module(name: str, monkeypatch: pytest.MonkeyPatch, **content: object) -> None:
    made = types.ModuleType(name)
    for attribute, value in content.items():
        setattr(made, attribute, value)
    monkeypatch.setitem(sys.modules, name, made)


def test_a_module_brings_its_commands_as_an_app(monkeypatch: pytest.MonkeyPatch) -> None:
    app = typer.Typer()

    @app.command("spend")
    def spend() -> None:
        typer.echo("spent")

    module("gateway.ledger.cli", monkeypatch, app=app)
    assert CliRunner().invoke(cli.build(["spend"]), ["spend"]).output == "spent\n"


def test_a_module_brings_its_commands_as_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    module("gateway.ledger.cli", monkeypatch, spend=lambda: typer.echo("spent"))
    assert CliRunner().invoke(cli.build(["spend"]), ["spend"]).output == "spent\n"


def test_a_module_that_cannot_be_imported_breaks_its_own_command_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gateway.ledger.cli", None)
    with pytest.raises(GatewayError, match=r"gateway\.ledger\.cli cannot be imported"):
        cli.build(["spend"])
    assert CliRunner().invoke(cli.build(["--help"]), ["--help"]).exit_code == 0


def test_errors_with_a_name_end_in_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: object
) -> None:
    monkeypatch.setattr(sys, "argv", ["spillway", "check-config", "--config", f"{tmp_path}/none.yaml"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    assert "there is no such file" in capsys.readouterr().err


def test_migrate_needs_a_url_and_no_configuration(tmp_path: Path) -> None:
    runner, url = CliRunner(), f"sqlite+aiosqlite:///{tmp_path / 'made.db'}"
    first = runner.invoke(cli.build(["migrate"]), ["migrate", "--database-url", url], catch_exceptions=False)
    assert "the schema stands at " in first.output
    assert "before, at nothing" in first.output
    again = runner.invoke(cli.build(["migrate"]), ["migrate"], env={"SPILLWAY_DATABASE_URL": url})
    assert "before" not in again.output
    assert again.output.strip() == first.output.partition(";")[0]
