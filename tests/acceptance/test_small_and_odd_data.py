"""From a log to a strategy by the commands alone, where the log is small or odd: they work, or say in words why not."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway.cli import build
from scorer.answer import Answer
from scorer.dataset import LoggedQuery, write_log
from scorer.scoring import Scorer
from tests.unit.scorer import synthetic

TWO = {"small": 0.5, "large": 0.9}
ODD = (
    "",
    " \n ",
    "日本語の答えは四十二です。" * 20,
    "مرحبا بالعالم ٤٢",
    "Ответ: сорок два",
    "x" * 100_000,
    "1 + 1 = 2. " * 9_000,
    "🙂\x00{" * 300,
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rates = {model: {"input": 10**n, "output": 10**n} for n, model in enumerate((*synthetic.SKILLS, "only"))}
    (tmp_path / "prices.json").write_text(json.dumps({"models": rates}))
    return tmp_path


def run(line: str) -> Result:
    words = line.split()
    return CliRunner().invoke(build(words), words, catch_exceptions=False)


def done(line: str) -> Result:
    ran = run(line)
    assert ran.exit_code == 0, ran.output
    return ran


def chain(queries: Sequence[LoggedQuery], kind: str = "best") -> dict[str, object]:
    """Train, choose and replay on them; the replay's report."""
    write_log("log.jsonl", queries)
    done("train --data log.jsonl --out scorer --json")
    done(f"optimize --scorer scorer --data log.jsonl --prices prices.json --match-best --kind {kind} --out s.json")
    line = "replay --scorer scorer --strategy s.json --data log.jsonl --prices prices.json --json"
    report: dict[str, object] = json.loads(done(line).stdout)
    return report


def test_fifty_rows_give_a_strategy_and_too_little_for_a_strict_certificate(folder: Path) -> None:
    assert chain(synthetic.log(25, skills=TWO))["n_queries"] == 25
    write_log("new.jsonl", synthetic.log(25, skills=TWO, seed=5))
    choosing = "optimize --scorer scorer --data log.jsonl --prices prices.json --kind threshold --out s.json"
    done(f"{choosing} --budget-usd-per-1k 1")
    line = "certify --strategy s.json --scorer scorer --data new.jsonl --prices prices.json --out c.json"
    refused = run(f"{line} --alpha 0.01 --delta 0.1 --kind wrong_accepted")
    assert refused.exit_code == 2
    assert "smallest" in refused.output
    assert not (folder / "c.json").exists()


def test_one_class_only_is_said(folder: Path) -> None:
    right = [synthetic.relabelled(query, dict.fromkeys(query.labels, 1.0)) for query in synthetic.log(30)]
    write_log("log.jsonl", right)
    refused = run("train --data log.jsonl --out scorer")
    assert refused.exit_code == 2
    assert "a scorer needs good and bad" in refused.output
    assert not (folder / "scorer").exists()


def test_one_model_only_is_the_strategy(folder: Path) -> None:
    chain(synthetic.log(40, skills={"only": 0.6}))
    assert [stage["model"] for stage in json.loads((folder / "s.json").read_text())["stages"]] == ["only"]


@pytest.mark.parametrize("kind", ["threshold", "cascade_route"])
def test_empty_endless_and_foreign_answers_go_all_the_way(kind: str) -> None:
    def odd(answer: Answer, n: int) -> Answer:
        return replace(answer, text=ODD[n % len(ODD)]) if n % 2 else answer

    queries = [
        replace(query, answers={m: replace(one, answer=odd(one.answer, n + k)) for k, (m, one) in enumerate(pairs)})
        for n, query in enumerate(synthetic.log(48, skills=TWO))
        for pairs in (list(query.answers.items()),)
    ]
    chain(queries, kind)
    scorer = Scorer.load("scorer")
    for text in ODD:
        said, other = synthetic.answer("small", text), synthetic.answer("large", text[::-1])
        assert 0 <= scorer.score(queries[0].query, said, [other]) <= 1
        beliefs = scorer.believe(synthetic.query(text), [said])
        assert all(0 <= beliefs[model] <= 1 for model in TWO)


@pytest.mark.parametrize(("trained", "served"), [(True, False), (False, True)])
def test_log_probabilities_may_come_and_go(trained: bool, served: bool) -> None:
    chain(synthetic.log(60, skills=TWO, logprobs=trained))
    scorer, new = Scorer.load("scorer"), synthetic.log(30, skills=TWO, seed=5, logprobs=served)
    scores = scorer.score_log(new, "large")
    assert ((scores > 0) & (scores < 1)).all()
    assert scores.mean() > 0.6


def test_a_model_that_the_scorer_does_not_know_is_left_out_and_said() -> None:
    write_log("log.jsonl", synthetic.log(60, skills=TWO))
    done("train --data log.jsonl --out scorer --json")
    write_log("wider.jsonl", synthetic.log(60, skills={**TWO, "middle": 0.7}))
    ran = done("optimize --scorer scorer --data wider.jsonl --prices prices.json --match-best --out s.json")
    assert "middle is left out: the scorer was not trained on its answers" in ran.output
