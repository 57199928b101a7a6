"""A strategy played on files says what the replay query by query says, to the nano-dollar, whatever the shards."""

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router.errors import StrategyError
from router.offline.following import followed
from router.offline.playing import Played
from router.offline.replaying import FolderReport, report
from router.offline.running import Here
from router.offline.shard import asked_of
from router.offline.sums import Sums
from router.replay import replay
from router.strategy import Stage, Strategy
from scorer.dataset import LoggedQuery
from scorer.partitioned.layout import Manifest
from tests.fakelog import FakeScorer, fake_log, fake_prices
from tests.partitioned import scored_folder


def cascade(*stages: tuple[str, float | None], reference: str = "large") -> Strategy:
    return Strategy.of(
        [Stage(model=model, threshold=threshold) for model, threshold in stages],
        reference_model=reference,
        safe_model="large",
        scorer_version="sc_fake",
    )


THREE = cascade(("small", 0.7), ("middling", 0.6), ("large", None))


def played(folder: Path, strategy: Strategy, split: str | None = None) -> FolderReport:
    manifest = Manifest.load(folder)
    sums = asked_of(folder, manifest, Played.of(strategy, manifest), Here(), split=split)
    parts = manifest.of_split(split)
    return report(strategy, sums, queries=sum(p.queries for p in parts), rows=sum(p.rows for p in parts))


def check_equal(folder: Path, strategy: Strategy, queries: list[LoggedQuery], split: str | None = None) -> None:
    here, there = played(folder, strategy, split), replay(strategy, FakeScorer(), queries, fake_prices(), draws=2)
    assert here.n_queries == there.n_queries
    assert here.cost_nanousd == there.cost_nanousd
    assert here.reference_cost_nanousd == there.reference_cost_nanousd
    assert here.stages == there.stages
    assert here.quality == pytest.approx(there.quality, abs=1e-9)
    assert here.quality_delta == pytest.approx(there.quality_delta, abs=1e-9)
    assert here.saving == there.saving
    assert here.chosen_on == there.chosen_on


@given(
    seed=st.integers(0, 10_000),
    n=st.integers(1, 60),
    shards=st.integers(1, 5),
    thresholds=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    order=st.permutations(["small", "middling", "large"]),
    length=st.integers(1, 3),
)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_sql_plays_what_the_replay_plays(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    n: int,
    shards: int,
    thresholds: tuple[float, float],
    order: list[str],
    length: int,
) -> None:
    queries = fake_log(n, seed=seed)
    folder = scored_folder(tmp_path_factory.mktemp("log") / "folder", queries, shards=shards)
    gates = [*thresholds[: length - 1], None]
    check_equal(folder, cascade(*zip(order, gates, strict=False), reference=order[-1]), queries)


def test_thresholds_that_are_scores_accept(tmp_path: Path) -> None:
    queries = fake_log(40)
    scores = FakeScorer().score_log(queries, "small").tolist()
    folder = scored_folder(tmp_path / "folder", queries)
    for threshold in scores[:3]:
        check_equal(folder, cascade(("small", threshold), ("large", None)), queries)


def test_intervals_are_those_of_resampling(tmp_path: Path) -> None:
    queries = fake_log(600)
    here = played(scored_folder(tmp_path / "folder", queries), THREE)
    there = replay(THREE, FakeScorer(), queries, fake_prices())
    assert here.saving_ci95 == pytest.approx(there.saving_ci95, abs=0.003)
    assert here.quality_delta_ci95 == pytest.approx(there.quality_delta_ci95, abs=0.003)


def test_only_a_split_is_played(tmp_path: Path) -> None:
    train, dev = fake_log(50, seed=1, split="train"), fake_log(30, seed=2, split="dev")
    folder = scored_folder(tmp_path / "folder", [*train, *dev, *fake_log(20, seed=3, split=None)])
    check_equal(folder, THREE, dev, "dev")
    check_equal(folder, THREE, train, "train")
    assert played(folder, THREE).n_queries == 100


def test_the_scorer_itself_gives_the_same_sums_as_the_columns(tmp_path: Path) -> None:
    queries = fake_log(80)
    folder = scored_folder(tmp_path / "folder", queries)
    manifest = Manifest.load(folder)
    by_column = asked_of(folder, manifest, Played.of(THREE, manifest), Here())
    random.Random(0).shuffle(queries)
    parts = [queries[:30], queries[30:31], queries[31:]]
    by_scorer = Sums.total(followed(THREE, FakeScorer(), part, fake_prices()) for part in parts)
    assert {key: value for key, value in by_scorer.values.items() if key[0] != "called"} == by_column.values
    assert report(THREE, by_scorer, queries=80, rows=240) == report(THREE, by_column, queries=80, rows=240)


def test_what_a_strategy_was_chosen_on_is_counted(tmp_path: Path) -> None:
    from dataclasses import replace

    from router.strategy import Evidence

    queries = fake_log(40)
    digest, seen = Evidence.of_queries(query.hash for query in queries[:13])
    evidence = Evidence(
        rule="match-best", data_sha256=digest, n_queries=13, quality=1, cost_usd_per_1k=1, reference_quality=1,
        reference_cost_usd_per_1k=1, seen=seen,
    )  # fmt: skip
    chosen = replace(THREE, evidence=evidence)
    chosen = replace(chosen, id=chosen.content_id())
    folder = scored_folder(tmp_path / "folder", queries)
    check_equal(folder, chosen, queries)
    assert "13 of 40 queries are among those" in played(folder, chosen).warnings[0]


def test_queries_that_lack_something_are_left_out_and_counted(tmp_path: Path) -> None:
    from dataclasses import replace

    whole, lacking = fake_log(30, seed=1), fake_log(10, seed=2)
    lacking = [
        replace(query, answers={m: a for m, a in query.answers.items() if m != "middling"}, labels={
            m: label for m, label in query.labels.items() if m != "middling"
        })
        for query in lacking
    ]  # fmt: skip
    folder = scored_folder(tmp_path / "folder", [*whole, *lacking])
    assert played(folder, THREE).left_out == 10
    assert played(folder, cascade(("small", 0.5), ("large", None))).left_out == 0
    check_equal(folder, cascade(("small", 0.5), ("large", None)), [*whole, *lacking])


def test_what_the_folder_lacks_is_named(tmp_path: Path) -> None:
    folder = scored_folder(tmp_path / "folder", fake_log(20), contexts=[()])
    manifest = Manifest.load(folder)
    with pytest.raises(StrategyError, match="no scores of middling beside small: run `spillway shards score`"):
        Played.of(THREE, manifest)
    with pytest.raises(StrategyError, match="'huge': has no answers in the data"):
        Played.of(cascade(("small", 0.5), ("huge", None)), manifest)
    other = Strategy.of(
        [Stage(model="small", threshold=0.5), Stage(model="large")],
        reference_model="large",
        safe_model="large",
        scorer_version="sc_other",
    )
    with pytest.raises(StrategyError, match="belongs to the scorer sc_other, not to sc_fake"):
        Played.of(other, manifest)
