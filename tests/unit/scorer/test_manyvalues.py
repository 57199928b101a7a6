"""A flag with several values after it."""

from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from scorer.manyvalues import ManyValues

app = typer.Typer()


@app.command(cls=ManyValues)
def show(
    data: Annotated[list[str], typer.Option("--data", "-d")],
    name: Annotated[str, typer.Option()] = "-",
    loud: Annotated[bool, typer.Option("--loud")] = False,
) -> None:
    typer.echo(f"{','.join(data)} {name} {loud}")


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("--data a b c", "a,b,c - False"),
        ("--data a --data b", "a,b - False"),
        ("--data a b --name n --data c d --loud", "a,b,c,d n True"),
        ("--name n --data=a b", "a,b n False"),
        ("-d a b", "a,b - False"),
        ("--loud --data a", "a - True"),
        ("--data --odd-name b", "--odd-name,b - False"),
    ],
)
def test_words_after_a_repeatable_flag_are_its_values(line: str, shown: str) -> None:
    result = CliRunner().invoke(app, line.split())
    assert result.output.strip() == shown


@pytest.mark.parametrize("line", ["--name n m --data a", "--loud a --data b", "--data", "stray --data a"])
def test_other_stray_words_are_still_refused(line: str) -> None:
    assert CliRunner().invoke(app, line.split()).exit_code == 2
