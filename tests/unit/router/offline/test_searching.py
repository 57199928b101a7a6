"""A search by sums over files is the one on the table: the same estimates for every candidate, and the same rules."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.errors import StrategyError
from router.offline.optimizing import choose_on_folder, to_sweep
from router.offline.playing import Played
from router.offline.replaying import report
from router.offline.running import Here
from router.offline.searching import BINS, Searched, candidates, thresholds
from router.offline.shard import asked_of
from router.optimize.search import SearchSpace, Sweeps
from router.optimize.selection import Rule, select
from router.optimize.simulate import Engine
from router.optimize.table import ScoreTable
from router.strategy import Strategy
from scorer.dataset import LoggedQuery
from scorer.partitioned.layout import FOLDS, Manifest, share_of
from tests.fakelog import FakeScorer, fake_log, fake_prices
from tests.partitioned import folder_of, scored_folder

SPACE = SearchSpace(depth=3, grid_sizes=(9, 5))


def on_table(queries: list[LoggedQuery], tried: Sweeps) -> Sweeps:
    """The same chains and thresholds, by the engine that sweeps a table."""
    table = ScoreTable.build(queries, FakeScorer(), fake_prices())
    parts = np.array([share_of(query.group or query.hash, "fold") % FOLDS for query in queries])
    engine = Engine(table, tried.reference, parts=parts)
    sweeps = [engine.sweep_at(chain, tried._thresholds[i]) for i, chain in enumerate(tried.chains)]
    return Sweeps(
        chains=tried.chains,
        sweeps=sweeps,
        part_sizes=np.bincount(parts, minlength=FOLDS),
        reference=table.reference(),
        reference_sums=np.array(
            [
                np.bincount(parts, weights=table.quality[:, tried.reference], minlength=FOLDS),
                np.bincount(parts, weights=table.cost_nanousd[:, tried.reference], minlength=FOLDS),
            ]
        ),
    )


@pytest.mark.parametrize(("seed", "shards"), [(0, 1), (1, 4), (2, 3)])
def test_every_candidate_has_the_table_s_estimates(tmp_path: Path, seed: int, shards: int) -> None:
    queries = fake_log(160, seed=seed)
    folder = scored_folder(tmp_path / "folder", queries, shards=shards)
    manifest, here = Manifest.load(folder), Here()
    searched = Searched.of(manifest, 3)
    surveyed = asked_of(folder, manifest, searched, here)
    swept = to_sweep(searched, surveyed, SPACE)
    tried = candidates(swept, surveyed, asked_of(folder, manifest, swept, here))
    table = on_table(queries, tried)
    assert tried.reference == table.reference
    assert tried.part_sizes.tolist() == table.part_sizes.tolist()
    assert len(tried.chains) == 3 + 6 + 3  # cheap to dear but for the last
    np.testing.assert_allclose(tried.sums, table.sums, rtol=1e-12, atol=1e-6)
    for fold in (None, 0, 3):
        ours, theirs = tried.estimates(without=fold), table.estimates(without=fold)
        np.testing.assert_allclose(ours.quality, theirs.quality, atol=1e-9)
        np.testing.assert_allclose(ours.gain_se, theirs.gain_se, atol=1e-9)
        np.testing.assert_allclose(ours.cost, theirs.cost, rtol=1e-12)
        np.testing.assert_allclose(ours.overspend_se, theirs.overspend_se, rtol=1e-6)
    for rule in (Rule(goal="match-best"), Rule(goal="max-quality-at-best-cost"), Rule(goal="min-quality", amount=0.6)):
        assert select(rule, tried.estimates()) == select(rule, table.estimates())


def test_the_choice_says_what_a_replay_of_it_says(tmp_path: Path) -> None:
    queries = fake_log(300)
    folder = scored_folder(tmp_path / "folder", queries)
    manifest = Manifest.load(folder)
    told: list[tuple[int, int]] = []
    rule = Rule(goal="match-best")
    chosen = choose_on_folder(folder, manifest, rule, Here(), progress=lambda done, total: told.append((done, total)))
    strategy, evidence = chosen.strategy, chosen.strategy.evidence
    assert evidence is not None
    sums = asked_of(folder, manifest, Played.of(strategy, manifest), Here())
    played = report(strategy, sums, queries=300, rows=900)
    assert played.cost_usd_per_1k == pytest.approx(evidence.cost_usd_per_1k)
    assert played.quality == pytest.approx(evidence.quality)
    assert played.reference.cost_usd_per_1k == pytest.approx(evidence.reference_cost_usd_per_1k)
    assert played.chosen_on == evidence.n_queries == chosen.n_queries == 300
    assert len(strategy.stages) > 1
    assert chosen.held_out is not None
    assert told == [(1, 3), (2, 3), (3, 3)] * 2
    assert Strategy.of_document(json.loads(json.dumps(strategy.to_document()))) == strategy


def test_marks_of_too_many_queries_are_not_kept_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.offline.optimizing.MOST_SEEN", 10)
    folder = scored_folder(tmp_path / "folder", fake_log(60))
    chosen = choose_on_folder(folder, Manifest.load(folder), Rule(goal="match-best"), Here(), split="train")
    assert chosen.strategy.evidence is not None
    assert chosen.strategy.evidence.seen == frozenset()
    assert "chosen on the folder's split 'train', too many queries to keep their marks" in chosen.strategy.evidence.note


def test_an_unscored_folder_is_not_searched(tmp_path: Path) -> None:
    with pytest.raises(StrategyError, match="has no scores: run `spillway shards score`"):
        Searched.of(Manifest.load(folder_of(tmp_path / "plain", fake_log(5))), 3)


@given(scores=st.lists(st.floats(0, 1), min_size=1, max_size=200), size=st.integers(2, 40))
@settings(deadline=None)
def test_thresholds_stand_at_quantiles_and_never_accept_everything_for_nothing(scores: list[float], size: int) -> None:
    histogram = np.bincount([min(int(score * BINS), BINS) for score in scores], minlength=BINS + 1)
    levels = thresholds([histogram], size)
    assert (np.diff(levels) > 0).all()
    assert levels[-1] == 1
    assert levels[0] > 0
    assert len(levels) <= size
