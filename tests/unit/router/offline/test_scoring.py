"""Scores are written beside the answers that they judge, and nothing else of a folder changes."""

import itertools
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from router.errors import StrategyError
from router.offline.running import Here
from router.offline.scoring import contexts_of, contexts_up_to, score_folder
from router.strategy import Stage, Strategy
from scorer.dataset import LoggedQuery
from scorer.partitioned.layout import COLUMNS, Manifest
from tests.fakelog import MODELS, FakeScorer, fake_log
from tests.partitioned import folder_of

ALL = contexts_up_to(list(MODELS), 3)


def lacking(query: LoggedQuery, model: str) -> LoggedQuery:
    answers = {name: answer for name, answer in query.answers.items() if name != model}
    return replace(query, answers=answers, labels={name: answer.quality for name, answer in answers.items()})


def test_every_answer_has_the_scores_that_the_scorer_gives_it(tmp_path: Path) -> None:
    queries = fake_log(30)
    queries[3], queries[20] = lacking(queries[3], "small"), lacking(queries[20], "large")
    folder_of(tmp_path / "plain", queries)
    scored = score_folder(tmp_path / "plain", tmp_path / "out", FakeScorer(), Here(), models=list(MODELS), contexts=ALL)
    rows = f"read_parquet('{tmp_path}/out/**/*.parquet')"
    for model, context in itertools.product(MODELS, ALL):
        column = scored.score_of(model, context)
        if model in context:
            assert column is None
            continue
        told = dict(
            duckdb.connect().execute(f"SELECT query_id, {column} FROM {rows} WHERE model = '{model}'").fetchall()
        )
        for query in queries:
            if model in query.answers:
                whole = query.answers.keys() >= set(context)
                expected = FakeScorer().score_log([query], model, context)[0] if whole else None
                assert told[query.query.id] == expected


def test_all_else_stays_and_may_be_scored_anew(tmp_path: Path) -> None:
    folder_of(tmp_path / "plain", fake_log(30))
    once = score_folder(tmp_path / "plain", tmp_path / "once", FakeScorer(), Here(), models=["small"], contexts=[()])
    again = score_folder(tmp_path / "once", tmp_path / "again", FakeScorer(), Here(), models=list(MODELS), contexts=ALL)
    before, after = (f"read_parquet('{tmp_path}/{name}/**/*.parquet')" for name in ("plain", "again"))
    kept = f"SELECT {', '.join(COLUMNS)} FROM {after}"
    assert duckdb.connect().execute(f"SELECT {', '.join(COLUMNS)} FROM {before} EXCEPT ALL ({kept})").fetchall() == []
    assert (once.scorer_version, once.scored, once.contexts) == ("sc_fake", ("small",), ((),))
    assert again == Manifest.load(tmp_path / "again")
    assert (again.rows, again.queries, again.prices) == (90, 30, Manifest.load(tmp_path / "plain").prices)
    again.verify(tmp_path / "again")


def test_a_strategy_names_what_it_needs() -> None:
    stages = [Stage(model="small", threshold=0.5), Stage(model="middling", threshold=0.5), Stage(model="large")]
    three = Strategy.of(stages, reference_model="large", safe_model="large", scorer_version="sc_fake")
    assert contexts_of(three) == ((), ("small",))
    assert contexts_of(Strategy.of(stages[2:], reference_model="large", safe_model="large")) == ((),)
    assert len(contexts_up_to("abcde", 4)) == 1 + 5 + 10


def test_a_model_that_cannot_be_scored_is_named(tmp_path: Path) -> None:
    folder_of(tmp_path / "plain", fake_log(5))
    with pytest.raises(StrategyError, match="'huge': has no answers in the scorer's training log"):
        score_folder(tmp_path / "plain", tmp_path / "out", FakeScorer(), Here(), models=["huge"], contexts=[()])
    with pytest.raises(StrategyError, match="'large': has no answers in the scorer's training log"):
        score_folder(
            tmp_path / "plain", tmp_path / "out", FakeScorer(["small"]), Here(), models=["large"], contexts=[()]
        )
    assert not (tmp_path / "out").exists()
