"""``spillway plan`` as a person calls it."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from router.capacity.cli import app
from router.errors import CapacityError

ARGUMENTS = ["--config", "qwen3-30b-a3b", "--gpu", "h200", "--context", "32k", "--concurrency", "64"]


def told(*more: str) -> str:
    result = CliRunner().invoke(app, [*ARGUMENTS, *more], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_plan_says_what_is_needed_and_whether_it_pays() -> None:
    output = told("--api-price", "0.1,0.4")
    assert "30.53 B parameters, 3.35 B active, 3.04 B without the embedding (8 of 128 experts a token)" in output
    assert "4 x h200 for 64 sequences of 32,768" in output
    assert "hosting pays from a utilisation of" in output
    assert "hosting never pays" in told("--api-price", "0.001,0.001")
    assert "give --api-price" in told()


def test_json_has_every_number() -> None:
    found = json.loads(told("--json", "--quant", "fp8"))
    assert found["parameters"]["total"] == 30532122624
    assert found["quantisation"] == "fp8"
    assert found["kv"]["bytes_per_token"] == 2 * 48 * 4 * 128 * 2
    assert [step["batch"] for step in found["decode"]] == [1, 2, 4, 8, 16, 32, 64]


def test_the_picture_is_well_formed(tmp_path: Path) -> None:
    path = tmp_path / "plan.svg"
    told("--plot", str(path), "--api-price", "0.1,0.4")
    tree = ET.parse(path)
    assert "break-even" in "".join(tree.getroot().itertext())


def test_a_file_is_read_as_well_as_a_preset(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(CapacityError, match="hidden_size: is missing"):
        CliRunner().invoke(app, ["--config", str(path), "--gpu", "h100"], catch_exceptions=False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--config", "gpt-7"], "no preset 'gpt-7'; presets are"),
        (["--gpu", "abacus"], "--gpu: 'abacus' is not known"),
        (["--context", "long"], "--context: must be a number of tokens"),
        (["--quant", "int1"], "--quant: 'int1' is not known"),
        (["--api-price", "cheap"], "--api-price: must be two numbers"),
        (["--api-price", "-1,2"], "--api-price: prices must be zero or more"),
        (["--plot", "/nowhere/at/all.svg"], "--plot /nowhere/at/all.svg"),
    ],
)
def test_what_is_wrong_is_named(arguments: list[str], said: str) -> None:
    with pytest.raises(CapacityError, match=said):
        CliRunner().invoke(app, [*ARGUMENTS, *arguments], catch_exceptions=False)
