"""The commands: files in, files and words out, and no traceback."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import router.optimize.entries
import scorer.scoring
from router.cli import app
from router.optimize.entries import EntryChoice
from router.optimize.selection import HeldOut
from router.strategy import Strategy
from scorer.dataset import write_log
from scorer.errors import ArtifactError
from tests.fakelog import MODELS, FakeScorer, fake_log

pytestmark = pytest.mark.usefixtures("folder")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two logs, prices, and a scorer that was trained on the first log's training split."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    train, dev = fake_log(150, seed=1), fake_log(50, seed=2, split="dev")
    write_log(tmp_path / "one.jsonl", [*train[:80], *dev])
    write_log(tmp_path / "two.jsonl.gz", train[80:])
    write_log(tmp_path / "three.jsonl", fake_log(300, seed=3))
    models = {model: {"input": float(rate), "output": 2 * float(rate)} for model, (_, rate) in MODELS.items()}
    (tmp_path / "prices.json").write_text(json.dumps({"models": models}))
    (tmp_path / "scorer").mkdir()

    def load(directory: Path) -> FakeScorer:
        if not Path(directory).is_dir():
            raise ArtifactError(f"{directory}: there is no scorer")
        return FakeScorer(trained_on=train)

    monkeypatch.setattr(scorer.scoring.Scorer, "load", staticmethod(load))
    return tmp_path


def run(line: str) -> Result:
    return CliRunner().invoke(app, line.split(), catch_exceptions=False)


OPTIMIZE = "optimize --scorer scorer --data one.jsonl two.jsonl.gz --prices prices.json --split train --out s.json"
CERTIFY = (
    "certify --strategy s.json --scorer scorer --data three.jsonl --prices prices.json --out c.json "
    "--alpha 0.3 --delta 0.1 --kind wrong_accepted"
)
REPLAY = "replay --scorer scorer --strategy s.json --prices prices.json --data one.jsonl"


@pytest.mark.parametrize(
    ("flag", "rule"),
    [
        ("--match-best", "match-best"),
        ("--max-quality-at-best-cost", "max-quality-at-best-cost"),
        ("--budget-usd-per-1k 0.5", "budget-usd-per-1k=0.5"),
        ("--min-quality 0.7", "min-quality=0.7"),
    ],
)
def test_optimize_writes_a_strategy_for_each_rule(folder: Path, flag: str, rule: str) -> None:
    result = run(f"{OPTIMIZE} {flag}")
    assert result.exit_code == 0, result.output
    strategy = Strategy.load(folder / "s.json")
    assert strategy.evidence is not None
    assert strategy.evidence.rule == rule
    assert strategy.evidence.n_queries == 150  # both files, training split only
    assert strategy.id in result.stdout
    assert "frontier" in result.stdout
    assert "surely at most 1% worse than large" in result.stdout


def test_optimize_then_replay_as_json(folder: Path) -> None:
    written = run(f"{OPTIMIZE} --match-best --json")
    told = json.loads(written.stdout)
    assert told["id"] == Strategy.load(folder / "s.json").id
    assert told["cheapest_equal"]["model"] == "large"
    assert told["by_kind"]["threshold"]["folds"] == 5
    assert all(low <= point["quality"] <= high for point in told["frontier"] for low, high in [point["quality_ci95"]])
    result = run(f"{REPLAY} --split dev --json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["n_queries"] == 50
    assert report["reference"]["model"] == "large"
    assert report["warnings"] == []


def test_replay_for_people_shows_what_it_is_compared_with(folder: Path) -> None:
    run(f"{OPTIMIZE} --match-best")
    result = run(REPLAY)
    assert result.exit_code == 0, result.output
    for word in ("130 queries", "reference", "oracle", "random mix", "saving", "95 %"):
        assert word in result.stdout
    assert "warning: 80 of 130 queries are among those that strategy" in result.stderr
    assert "warning: 80 of 130 queries are among those that the scorer was trained on" in result.stderr


def test_a_log_given_twice_by_flag_is_as_good(folder: Path) -> None:
    run(f"{OPTIMIZE} --match-best")
    both = run(f"{REPLAY} --data two.jsonl.gz --json")
    assert json.loads(both.stdout)["n_queries"] == 200


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (OPTIMIZE, "give exactly one of .* given: none"),
        (f"{OPTIMIZE} --match-best --min-quality 0.5", "given: --min-quality, --match-best"),
        (f"{OPTIMIZE} --min-quality 7", "min-quality: must be between 0 and 1"),
        (f"{OPTIMIZE} --budget-usd-per-1k 0.0000001", "the least possible budget is"),
        (OPTIMIZE.replace("scorer scorer", "scorer absent") + " --match-best", "absent: there is no scorer"),
        (OPTIMIZE.replace("one.jsonl", "absent.jsonl") + " --match-best", "absent.jsonl"),
        (OPTIMIZE.replace("train", "test") + " --match-best", "no queries of split 'test'"),
        (OPTIMIZE.replace("prices.json", "s.json") + " --match-best", "s.json: cannot be read"),
        (OPTIMIZE.replace("out s", "out no/s") + " --match-best", "no/s.json: cannot be written"),
        (CERTIFY, "s.json: cannot be read"),
        (CERTIFY.replace("0.3", "3"), "alpha: must be between 0 and 1, not 3"),
        (CERTIFY.replace("--delta 0.1", ""), "delta: is missing"),
        (f"{CERTIFY} --method conformal", "delta: means nothing to conformal risk control"),
        (CERTIFY.replace("wrong_accepted", "speed"), "kind: must be one of wrong_accepted, quality_drop"),
        (REPLAY, "s.json: cannot be read"),
        (REPLAY.replace("s.json", "prices.json"), "prices.json: format: is missing"),
    ],
)
def test_mistakes_end_in_words_and_status_2(line: str, message: str) -> None:
    result = run(line)
    assert result.exit_code == 2
    assert result.stderr.startswith("spillway: ")
    assert len(result.stderr.splitlines()) == 1
    assert re.search(message, result.stderr)


def test_without_a_price_list_models_that_nobody_prices_are_not_free() -> None:
    result = run(OPTIMIZE.replace("--prices prices.json", "") + " --match-best")
    assert result.exit_code == 2
    assert "its price is not known" in result.stderr


def test_a_model_that_is_left_out_and_bad_lines_are_said(folder: Path) -> None:
    models = {model: {"input": 1, "output": 1} for model in ("small", "large")}
    (folder / "prices.json").write_text(json.dumps({"models": models}))
    with (folder / "one.jsonl").open("a") as log:
        log.write("nonsense\n")
    assert "one.jsonl, line 131" in run(f"{OPTIMIZE} --match-best").stderr
    result = run(f"{OPTIMIZE} --match-best --skip-bad")
    assert result.exit_code == 0
    assert "warning: 1 bad lines are left out" in result.stderr
    assert "warning: middling is left out: its price is not known" in result.stderr


def test_a_scorer_that_did_not_see_the_data_is_said() -> None:
    result = run(OPTIMIZE.replace("--split train", "") + " --match-best")
    assert "warning: the scorer was not trained on all of these queries" in result.stderr


@pytest.mark.parametrize(
    "target", ["wrong_accepted", "quality_drop", "wrong_accepted --method conformal"], ids=lambda target: target[-9:]
)
def test_certify_writes_a_certified_strategy(folder: Path, target: str) -> None:
    run(f"{OPTIMIZE} --match-best")
    line = CERTIFY.replace("wrong_accepted", target)
    result = run(line.replace("--delta 0.1", "") if "conformal" in target else line)
    assert result.exit_code == 0, result.output
    certified = Strategy.load(folder / "c.json")
    assert certified.certificate is not None
    assert certified.certificate.made_from == Strategy.load(folder / "s.json").id
    told = " ".join(result.stdout.split())
    assert certified.certificate.controlled in told
    assert "assumed: exchangeability" in told
    assert "on these queries it saves" in told
    replayed = run(REPLAY.replace("--strategy s.json", "--strategy c.json"))
    assert certified.certificate.controlled in " ".join(replayed.stdout.split())


def test_certify_as_json_with_the_selections_own_data(folder: Path) -> None:
    run(f"{OPTIMIZE} --match-best")
    result = run(f"{CERTIFY} --selection one.jsonl two.jsonl.gz --json")
    assert result.exit_code == 0, result.output
    certificate = json.loads(result.stdout)["certificate"]
    assert (certificate["n"], certificate["n_selection"]) == (300, 200)
    assert Strategy.load(folder / "c.json").id == json.loads(result.stdout)["id"]


def test_certify_refuses_queries_that_were_seen_unless_they_are_left_out() -> None:
    run(f"{OPTIMIZE} --match-best")
    both = CERTIFY.replace("three.jsonl", "three.jsonl one.jsonl")
    refused = run(both)
    assert refused.exit_code == 2
    assert "of 430 queries the scorer was trained on 80 (q0, q1, q2, …)" in refused.stderr
    result = run(f"{both} --leave-out-seen --json")
    assert result.exit_code == 0, result.output
    assert "warning: 80 queries are left out" in result.stderr
    assert json.loads(result.stdout)["certificate"]["n"] == 350


def test_certify_says_what_is_feasible(folder: Path) -> None:
    run(f"{OPTIMIZE} --match-best")
    result = run(CERTIFY.replace("0.3", "0.0001"))
    assert result.exit_code == 2
    assert re.search(r"out of reach: .* The smallest feasible alpha is 0\.0\d+", result.stderr)
    assert len(result.stderr.splitlines()) == 1
    assert not (folder / "c.json").exists()


def test_what_an_entry_would_be_worth_is_not_said_of_a_strategy_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    held = HeldOut(saving=0.999, quality_delta=0.5, folds=5)

    def none_chosen(table: object, strategy: Strategy, *_: object) -> EntryChoice:
        return EntryChoice(strategy=strategy, with_entry=held, without=held, moved=0.0, note="no entry: it loses")

    plain = run(f"{OPTIMIZE} --match-best --kind threshold").stdout
    monkeypatch.setattr(router.optimize.entries, "choose_entry", none_chosen)
    shown = run(f"{OPTIMIZE} --match-best --entry").stdout
    told = [line for line in plain.splitlines() if "to be expected" in line]
    assert told
    assert [line for line in shown.splitlines() if "to be expected" in line] == told
