"""``spillway benchmark quality`` on a small made-up log: out of fold, judged once, and both together."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway import cli
from scorer.dataset import write_log
from tests.unit.scorer import synthetic

ASKED = ["benchmark", "quality", "--sets", "sums", "--pairs", "none", "--one-scorer", "--folds", "2", "--workers", "1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    queries = synthetic.log(160)
    write_log(
        folder / "sums.jsonl", [replace(q, split="dev" if n % 4 == 0 else "train") for n, q in enumerate(queries)]
    )
    rates = {model: {"input": 10**n, "output": 10**n} for n, model in enumerate(synthetic.SKILLS)}
    (folder / "prices.json").write_text(json.dumps({"models": rates}))
    return folder


def test_both_tells_each_kind_of_query_and_all_of_them(folder: Path) -> None:
    ran = CliRunner().invoke(cli.build(ASKED), [*ASKED, "--data", str(folder), "--both", "--json"])
    assert ran.exit_code == 0, ran.output
    report = json.loads(ran.stdout)
    apart = report["apart"]
    assert report["queries"] == {"sums": 160}
    assert {kind: told["queries"]["sums"] for kind, told in apart.items()} == {"out of fold": 120, "judged once": 40}
    qualities = {kind: told["references"]["sums"]["quality"] for kind, told in {**apart, "all": report}.items()}
    assert qualities["all"] == pytest.approx((3 * qualities["out of fold"] + qualities["judged once"]) / 4)
    assert "dev" in report["protocol"]
    assert "outer folds" in report["protocol"]


def test_the_rows_are_shown_beside_each_other(folder: Path) -> None:
    ran = CliRunner().invoke(cli.build(ASKED), [*ASKED, "--data", str(folder), "--both"])
    assert ran.exit_code == 0, ran.output
    for shown in ("out of fold, 120 queries", "judged once, 40", "both together, 160", "area above routing"):
        assert shown in ran.stdout


def test_one_split_is_not_both(folder: Path) -> None:
    ran = CliRunner().invoke(cli.build(ASKED), [*ASKED, "--data", str(folder), "--both", "--final"])
    assert ran.exit_code == 2
    assert "one of them" in ran.output
