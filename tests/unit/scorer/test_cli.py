"""The command: what it prints, what it writes, and how it fails."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from scorer.cli import app
from scorer.dataset import read_log, write_log
from scorer.partitioned.writing import write_folder
from scorer.scoring import Scorer
from tests.unit.scorer import synthetic


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("logs")
    paths = [folder / "one.jsonl", folder / "two.jsonl.gz"]
    write_log(paths[0], [*synthetic.log(30), *synthetic.log(10, seed=2, split="dev")])
    write_log(paths[1], synthetic.log(15, seed=3))
    return paths


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_training_prints_a_report_and_writes_a_scorer(data: list[Path], tmp_path: Path) -> None:
    result = run("--data", *data, "--out", tmp_path / "s", "--split", "train", "--model", "logistic")
    assert result.exit_code == 0, result.output
    assert "AUROC" in result.output
    scorer = Scorer.load(tmp_path / "s")
    assert scorer.version in result.output
    assert scorer.report["n_queries"] == 45
    dev = read_log(data, split="dev").queries
    assert not any(scorer.trained_on(query.hash) for query in dev)


def test_of_a_folder_a_sample_is_trained_on_and_its_size_told(data: list[Path], tmp_path: Path) -> None:
    write_folder(tmp_path / "log", read_log(data).queries, cost=lambda _: None, shards=2)
    options = ("--data", tmp_path / "log", "--split", "train", "--model", "logistic")
    result = run(*options, "--out", tmp_path / "some", "--sample", 30)
    assert result.exit_code == 0, result.output
    assert "a stratified sample: 30 of 45 queries, of " in result.stderr
    assert "(seed 0); --sample 0 takes all" in result.stderr
    assert Scorer.load(tmp_path / "some").report["n_queries"] == 30
    for size in ((), ("--sample", 0)):
        result = run(*options, "--out", tmp_path / f"all{len(size)}", *size)
        assert "sample" not in result.stderr
        assert Scorer.load(tmp_path / f"all{len(size)}").report["n_queries"] == 45
    result = run("--data", data[0], "--out", tmp_path / "s", "--sample", 30)
    assert "--sample: is drawn from one folder of Parquet" in result.stderr


def test_the_report_can_be_had_as_json(data: list[Path], tmp_path: Path) -> None:
    result = run("--data", data[0], "--out", tmp_path / "s", "--json", "--seed", 3, "--model", "logistic")
    report = json.loads(result.stdout)
    assert report["version"] == Scorer.load(tmp_path / "s").version
    assert report["seed"] == 3
    assert report["kinds"] == ["linear"]


def test_bad_lines_end_it_or_are_counted(data: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_bytes(data[0].read_bytes() + b'{"dataset": 1}\n{\n')
    result = run("--data", broken, "--out", tmp_path / "s")
    assert result.exit_code == 2
    assert f"spillway: {broken}, line 41: " in result.stderr
    assert not (tmp_path / "s").exists()
    result = run("--data", broken, "--out", tmp_path / "s", "--skip-bad", "--model", "logistic", "--json")
    assert result.exit_code == 0
    assert "warning: 2 bad lines are left out" in result.stderr
    assert json.loads(result.stdout)["n_bad_lines"] == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--data", "nowhere.jsonl"], "nowhere.jsonl: No such file"),
        (["--data", "{data}", "--split", "test"], "no queries of split 'test'"),
        (["--data", "{data}", "--split", "dev"], "holds no scorer"),
    ],
)
def test_what_fails_is_said_in_words(data: list[Path], tmp_path: Path, arguments: list[str], words: str) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "something").write_text("else")
    filled = [argument.format(data=data[0]) for argument in arguments]
    result = run(*filled, "--out", taken, "--model", "logistic")
    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.output
