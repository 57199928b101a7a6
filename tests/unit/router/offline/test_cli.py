"""The commands on folders of Parquet: what they write, what they say, and what they refuse."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

import router.cli
import router.offline.cli
import router.offline.costing
import scorer.scoring
from router.pricing import PriceBook
from router.strategy import Stage, Strategy
from scorer.dataset import write_log
from tests.fakelog import MODELS, FakeScorer, fake_log

pytestmark = pytest.mark.usefixtures("folder")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A log, prices, a scorer's folder and a strategy."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    write_log(tmp_path / "log.jsonl.gz", [*fake_log(60, seed=1), *fake_log(40, seed=2, split="dev")])
    models = {model: {"input": float(rate), "output": 2 * float(rate)} for model, (_, rate) in MODELS.items()}
    (tmp_path / "prices.json").write_text(json.dumps({"models": models}))
    (tmp_path / "scorer").mkdir()
    monkeypatch.setattr(scorer.scoring.Scorer, "load", staticmethod(lambda _: FakeScorer()))
    stages = [Stage(model="small", threshold=0.7), Stage(model="middling", threshold=0.6), Stage(model="large")]
    strategy = Strategy.of(stages, reference_model="large", safe_model="large", scorer_version="sc_fake")
    strategy.dump(tmp_path / "s.json")
    return tmp_path


def run(line: str) -> Result:
    app = typer.Typer()
    app.add_typer(router.cli.app)
    app.add_typer(router.offline.cli.app)
    return CliRunner().invoke(app, line.split())


WRITE = "shards write --data log.jsonl.gz --prices prices.json --out plain --shards 2"
REPLAY = "replay --scorer scorer --strategy s.json --prices prices.json --data"


def test_a_log_is_written_scored_checked_and_replayed_as_the_log_is() -> None:
    assert "300 answers to 100 queries in 4 files: plain" in run(WRITE).output
    scored = run("shards score --data plain --scorer scorer --strategy s.json --out scored")
    assert "3 models scored by themselves and beside 1 sets of others: scored" in scored.output
    assert "scoring: 4 of 4 files" in scored.stderr
    assert "300 answers to 100 queries in 4 files, all as written" in run("shards check --data scored").output
    there = json.loads(run(f"{REPLAY} log.jsonl.gz --split dev --json").stdout)
    here = json.loads(run(f"{REPLAY} scored --split dev --json").stdout)
    same = ("n_queries", "cost_nanousd", "reference_cost_nanousd", "stages", "saving")
    assert {name: here[name] for name in same} == {name: there[name] for name in same}
    shown = run("replay --scorer scorer --strategy s.json --data scored")
    assert shown.exit_code == 0
    assert "on 100 queries, of 300 logged answers" in shown.stdout
    assert "large (reference)" in shown.stdout
    assert "replaying: 4 of 4 files" in shown.stderr


def test_a_strategy_is_searched_on_a_folder_and_replayed_on_its_other_split() -> None:
    run(WRITE)
    run("shards score --data plain --scorer scorer --out scored")
    search = "optimize --scorer scorer --data scored --split train --out t.json --match-best"
    found = run(search)
    assert found.exit_code == 0, found.output
    strategy = Strategy.load("t.json")
    assert strategy.evidence is not None
    assert strategy.evidence.n_queries == 60
    assert f"strategy {strategy.id}, of" in found.stdout
    assert "searching: 4 of 4 files" not in found.stderr  # two files of the split
    assert "searching: 2 of 2 files" in found.stderr
    played = json.loads(run("replay --scorer scorer --strategy t.json --data scored --split dev --json").stdout)
    assert (played["n_queries"], played["chosen_on"]) == (40, 0)
    assert json.loads(run(f"{search} --json").stdout)["id"] == strategy.id
    refused = run(f"{search} --kind cascade_route")
    assert "plans are fitted on logs, not on folders of Parquet" in refused.output
    assert "--release-loss: beginnings of answers are judged on logs" in run(f"{search} --release-loss 0.01").output


def test_scores_of_another_scorer_are_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    run(WRITE)
    run("shards score --data plain --scorer scorer --out scored")
    other = FakeScorer()
    other.version = "sc_other"
    monkeypatch.setattr(scorer.scoring.Scorer, "load", staticmethod(lambda _: other))
    refused = run("optimize --scorer scorer --data scored --out t.json --match-best")
    assert "--scorer: is sc_other, but scored has scores of sc_fake" in refused.output


def test_labels_are_joined() -> None:
    run(WRITE)
    Path("labels.csv").write_text("query_id,model,source,quality\nq0,small,review,0.5\nq1000,small,check,1\n")
    done = run("shards label --data plain --labels labels.csv --out labelled")
    # q0 is the name of a query in each split, q1000 of none
    assert "2 of 2 labels met an answer: labelled" in done.output
    assert "labelling: 4 of 4 files" in done.stderr
    assert "300 answers to 100 queries" in run("shards check --data labelled").output


def test_an_unscored_folder_is_judged_anew() -> None:
    run(WRITE)
    slow = run(f"{REPLAY} plain --json")
    assert "the folder has no scores of small: run `spillway shards score` with this strategy" in slow.stderr
    run("shards score --data plain --scorer scorer --out scored")
    quick = run(f"{REPLAY} scored --json")
    assert json.loads(slow.stdout) == json.loads(quick.stdout)
    assert "--prices is not used" in quick.stderr


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f"{REPLAY} plain log.jsonl.gz", "--data: one folder of Parquet, or files; not several, and not both"),
        (f"{REPLAY} log.jsonl.gz --ray local", "--ray: works on a folder of Parquet"),
        (f"{REPLAY} plain --split test", "plain: no queries of split 'test'"),
        (f"{REPLAY} scorer", "scorer: has no manifest.json: it is no partitioned log"),
        (WRITE, "plain: is there already"),
        ("shards check --data nowhere", "nowhere: has no manifest.json"),
        ("shards score --data plain --scorer scorer --out o --models small --strategy s.json", "give one of them"),
    ],
)
def test_what_is_wrong_is_said_in_words(line: str, said: str) -> None:
    run(WRITE)
    result = run(line)
    assert result.exit_code != 0
    assert said in result.output + str(result.exception)


def test_without_ray_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    run(WRITE)
    result = run(f"{REPLAY} plain --ray local")
    assert "--ray needs the package ray: pip install 'spillway[ray]'" in result.output
    assert result.exit_code == 2


def test_prices_that_are_not_known_are_told() -> None:
    (Path("prices.json")).write_text(json.dumps({"models": {"small": {"input": 1, "output": 1}}}))
    written = run(WRITE)
    assert "warning: large: its price is not known; its costs are empty" in written.stderr


@pytest.mark.parametrize("data", ["plain", "scored"])
def test_a_strategy_is_not_replayed_with_another_scorer(data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run(WRITE)
    run("shards score --data plain --scorer scorer --out scored")
    other = FakeScorer()
    other.version = "sc_other"
    monkeypatch.setattr(scorer.scoring.Scorer, "load", staticmethod(lambda _: other))
    refused = run(f"{REPLAY} {data}")
    assert refused.exit_code == 2
    assert "belongs to the scorer sc_fake, not to sc_other" in refused.output


def test_the_price_of_a_reference_outside_the_strategy_is_looked_up_too(monkeypatch: pytest.MonkeyPatch) -> None:
    run(WRITE)
    monkeypatch.setattr(router.offline.costing, "known_price", PriceBook.load(Path("prices.json")).price)
    stages = [Stage(model="small", threshold=0.7), Stage(model="middling")]
    Strategy.of(stages, reference_model="large", safe_model="middling", scorer_version="sc_fake").dump(Path("s.json"))
    played = run("replay --scorer scorer --strategy s.json --data plain")
    assert played.exit_code == 0, played.output
    assert "large (reference)" in played.stdout


@pytest.mark.parametrize("damage", ["end", "middle", "all"])
@pytest.mark.parametrize(
    "line",
    [
        f"{REPLAY} plain",
        f"{REPLAY} scored",
        "shards score --data plain --scorer scorer --out o",
        "shards label --data plain --labels labels.csv --out o",
        "optimize --scorer scorer --data scored --out t.json --match-best",
    ],
)
def test_a_damaged_file_is_named(line: str, damage: str) -> None:
    run(WRITE)
    run("shards score --data plain --scorer scorer --out scored")
    Path("labels.csv").write_text("query_id,model,source,quality\nq0,small,review,0.5\n")
    for file in [next(Path(folder).rglob("*.parquet")) for folder in ("plain", "scored")]:
        content = file.read_bytes()
        spoilt = {
            "end": content[:-20] + b"x" * 20,
            "middle": content[:100] + b"x" * 2_900 + content[3_000:],
            "all": b"\0" * len(content),
        }
        file.write_bytes(spoilt[damage])
    refused = run(line)
    assert refused.exit_code != 0
    said = refused.output + str(refused.exception)
    assert "answers.parquet: " in said
    assert "`spillway shards check` tells whether it was changed" in said
    assert not Path("o").exists()


def test_what_parquet_needs_is_named_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    run(WRITE)
    Path("labels.csv").write_text("query_id,model,source,quality\nq0,small,review,0.5\n")
    monkeypatch.setitem(__import__("sys").modules, "duckdb", None)
    refused = run("shards label --data plain --labels labels.csv --out o")
    assert "pip install 'spillway[parquet]'" in str(refused.exception)


def test_prices_that_a_folder_does_not_need_are_said_to_be_unused() -> None:
    run(WRITE)
    run("shards score --data plain --scorer scorer --out scored")
    found = run("optimize --scorer scorer --data scored --out t.json --match-best --prices prices.json")
    assert found.exit_code == 0, found.output
    assert "--prices is not used" in found.stderr
