"""From a table to a strategy with its evidence."""

from itertools import pairwise

import numpy as np

from router.optimize.choose import choose
from router.optimize.folding import FOLDS, folds
from router.optimize.frontier import MOST_POINTS
from router.optimize.search import SearchSpace
from router.optimize.selection import Rule
from router.optimize.table import ScoreTable
from router.strategy import Strategy
from tests.fakelog import FakeScorer, fake_log, fake_prices, random_table


def test_a_cascade_comes_with_what_it_was_chosen_on(tmp_path) -> None:  # type: ignore[no-untyped-def]  # pytest's path
    queries = fake_log(300)
    table = ScoreTable.build(queries, FakeScorer(), fake_prices())
    choice = choose(table, Rule(goal="match-best"), scorer_version="sc_fake")
    strategy, evidence = choice.strategy, choice.strategy.evidence
    assert len(strategy.stages) > 1
    assert strategy.reference_model == strategy.safe_model == "large"
    assert strategy.scorer_version == "sc_fake"
    assert evidence is not None
    assert evidence.rule == "match-best"
    assert evidence.n_queries == 300
    assert evidence.cost_usd_per_1k < evidence.reference_cost_usd_per_1k
    assert evidence.held_out_saving is not None
    assert evidence.note == ""
    assert all(strategy.chosen_on(query.hash) for query in queries)
    strategy.dump(tmp_path / "strategy.json")
    assert Strategy.load(tmp_path / "strategy.json") == strategy


def test_the_same_data_gives_the_same_strategy() -> None:
    def once() -> Strategy:
        table = ScoreTable.build(fake_log(100), FakeScorer(), fake_prices())
        return choose(table, Rule(goal="max-quality-at-best-cost"), scorer_version="sc_fake").strategy

    assert once().id == once().id


def test_where_no_cascade_is_surely_better_it_says_to_use_the_single_model() -> None:
    blind = random_table(400, 3, 3, informative=0)
    strategy = choose(blind, Rule(goal="match-best", caution=1), scorer_version="v").strategy
    assert strategy.models == (strategy.reference_model,)
    assert strategy.evidence is not None
    assert strategy.evidence.note.startswith(f"use {strategy.reference_model} alone, the best single model")


def test_a_single_cheap_model_is_named_as_such() -> None:
    blind = random_table(400, 3, 3, informative=0)
    strategy = choose(blind, Rule(goal="min-quality", amount=0.0), scorer_version="v").strategy
    assert strategy.evidence is not None
    assert f"use {strategy.models[0]} alone, a single model" in strategy.evidence.note


def with_a_cheap_twin(n: int = 2000) -> ScoreTable:
    """Two models answer alike but for one query; the cheap one costs a hundredth. No score tells anything."""
    rng = np.random.default_rng(0)
    good = (rng.random(n) < 0.8).astype(np.float64)
    cheap = good.copy()
    cheap[np.flatnonzero(good)[0]] = 0.0
    return ScoreTable(
        models=("cheap", "dear"),
        query_hashes=tuple(f"{i:064x}" for i in range(n)),
        quality=np.column_stack([cheap, good]),
        cost_nanousd=np.column_stack([np.full(n, 10), np.full(n, 1000)]).astype(np.int64),
        scores=lambda model, context: np.full(n, 0.5),
    )


def test_where_an_equal_model_costs_less_than_any_cascade_it_says_to_use_that() -> None:
    choice = choose(with_a_cheap_twin(), Rule(goal="match-best"), scorer_version="v")
    assert choice.equal.model == "cheap"
    assert choice.strategy.models == ("cheap",)
    assert choice.strategy.reference_model == choice.strategy.safe_model == "dear"
    assert choice.strategy.evidence is not None
    assert "at most 1% worse than dear" in choice.strategy.evidence.note
    insisted = choose(with_a_cheap_twin(), Rule(goal="match-best"), scorer_version="v", kind="best_single")
    assert insisted.strategy.models == ("dear",)


def test_the_frontier_rises_and_its_bands_hold_its_points() -> None:
    table = ScoreTable.build(fake_log(300), FakeScorer(), fake_prices())
    points = choose(table, Rule(goal="match-best"), scorer_version="v").frontier
    assert 2 <= len(points) <= MOST_POINTS
    for one, other in pairwise(points):
        assert one.cost_usd_per_1k < other.cost_usd_per_1k
        assert one.quality < other.quality
    for point in points:
        assert point.quality_ci95[0] <= point.quality <= point.quality_ci95[1]
        assert point.cost_ci95[0] <= point.cost_usd_per_1k <= point.cost_ci95[1]
        assert point.gain_ci95[0] <= point.gain_ci95[1]


def test_tiny_logs_of_one_model_and_one_query_work() -> None:
    space = SearchSpace(depth=2, max_models=2, grid_sizes=(2, 2))
    for n, k in ((1, 1), (1, 2), (2, 2), (7, 1)):
        choice = choose(random_table(n, k, 0), Rule(goal="match-best"), scorer_version="v", space=space)
        assert choice.strategy.models


def test_folds_are_even_and_keep_groups_together() -> None:
    apart = folds(tuple(f"{i:064x}" for i in range(52)))
    assert sorted(np.bincount(apart).tolist()) == [10, 10, 10, 11, 11]
    assert len(np.bincount(apart)) == FOLDS
    assert len(set(folds(("talk",) * 9).tolist())) == 1
