"""The whole way with a real scorer: a folder is trained on, scored, searched and replayed as its log itself is."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli import build
from scorer.dataset import write_log
from tests.unit.scorer import synthetic


def run(line: str) -> str:
    told = CliRunner().invoke(build(line.split()), line.split())
    assert told.exit_code == 0, told.output
    return told.stdout


def test_a_folder_says_what_its_log_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_log("log.jsonl.gz", [*synthetic.log(60), *synthetic.log(40, seed=2, split="dev")])
    rates = {"small": 0.1, "middle": 1, "large": 9}
    prices = {"models": {model: {"input": rate, "output": rate} for model, rate in rates.items()}}
    Path("prices.json").write_text(json.dumps(prices))
    run("shards write --data log.jsonl.gz --prices prices.json --out plain --shards 3")
    run("train --data plain --split train --out scorer --model logistic")
    run("shards score --data plain --scorer scorer --out scored")
    run("optimize --data scored --scorer scorer --split train --out s.json --match-best --kind threshold")
    replay = "replay --strategy s.json --scorer scorer --prices prices.json --split dev --json --data"
    here, there = json.loads(run(f"{replay} scored")), json.loads(run(f"{replay} log.jsonl.gz"))
    same = ("n_queries", "cost_nanousd", "reference_cost_nanousd", "saving", "stages", "chosen_on")
    assert {name: here[name] for name in same} == {name: there[name] for name in same}
    assert here["quality"] == pytest.approx(there["quality"])
    assert here["n_queries"] == 40
