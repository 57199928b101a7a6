"""The benchmark end to end on a small log: every method answers every held query, and figures are what they say."""

import numpy as np
import pytest

from router.benchmark.figures import areas, chosen_runs, held_of, saving
from router.benchmark.nested import METHODS, OURS, Part, part_of
from router.benchmark.pairs import Pair, figures
from router.benchmark.published import RandomMix
from router.optimize.table import ScoreTable
from tests.fakelog import FakeBeliever, fake_log, fake_prices


@pytest.fixture(scope="module")
def parts() -> list[Part]:
    table = ScoreTable.build(fake_log(300), FakeBeliever(), fake_prices())
    folds = np.arange(table.n) % 2
    return [
        part_of(name, table.take(np.flatnonzero(folds != f)), table.take(np.flatnonzero(folds == f)), METHODS)
        for name in ("one", "other")
        for f in (0, 1)
    ]


def test_every_method_answers_every_held_query_and_spends_on_it(parts: list[Part]) -> None:
    for part in parts:
        for name, runs in part.held.items():
            assert runs.quality.shape == runs.cost.shape == part.held[OURS].quality.shape
            assert np.isin(runs.quality, (0, 1)).all() or name == RandomMix().name
            assert ((runs.quality >= 0) & (runs.quality <= 1)).all()
            assert (runs.cost > 0).all()


@pytest.mark.parametrize("pool", [True, False])
def test_savings_are_paired_with_the_reference(parts: list[Part], pool: bool) -> None:
    held = [held_of(parts[:2]), held_of(parts[2:])]
    chosen, which = chosen_runs(parts, OURS, "match", 0.0, pool=pool)
    assert {name: len(picks) for name, picks in which.items()} == {"one": 2, "other": 2}
    told = saving(held, chosen, seed=0)
    base = held[0].reference_cost.mean()
    assert told["sets"]["one"]["saving"]["value"] == pytest.approx(1 - chosen["one"][1].mean() / base)
    low, high = told["macro"]["saving"]["ci95"]
    assert low <= told["macro"]["saving"]["value"] <= high


def test_an_area_lies_between_its_qualities_and_is_compared_in_pairs(parts: list[Part]) -> None:
    names = [method.name for method in METHODS]
    told = areas([held_of(parts[:2])], names, OURS, seed=0)
    for name in names:
        assert 0 < told[name]["macro"]["value"] < 100
    assert told[OURS]["above"] is None
    above = told["routing"]["above"]["value"]
    assert above == pytest.approx(told[OURS]["macro"]["value"] - told["routing"]["macro"]["value"])


def test_a_perfect_router_recovers_the_gap_with_the_fewest_calls() -> None:
    weak = np.repeat([1.0, 0.0], [80, 20])
    pair = Pair(wanted=1 - weak, weak=weak, strong=np.ones(100), weak_cost=np.ones(100), strong_cost=np.full(100, 10.0))
    told = figures(pair, seed=0)
    assert told["cpt50"]["value"] == pytest.approx(0.10)
    assert told["cpt80"]["value"] == pytest.approx(0.16)
    assert told["cpt50_charged"]["value"] == pytest.approx(0.20)


def test_a_random_mix_costs_what_is_wanted_and_no_mix_of_two_models_is_better() -> None:
    table = ScoreTable.build(fake_log(300), FakeBeliever(), fake_prices())
    tried = RandomMix().fit(table).tried
    quality, cost = table.quality.mean(axis=0), table.cost_nanousd.mean(axis=0)
    wanted = np.geomspace(cost[quality.argmax()], cost.min(), len(tried.cost))
    assert tried.cost.mean(axis=1) == pytest.approx(wanted)
    for paid, brought in zip(tried.cost.mean(axis=1), tried.quality.mean(axis=1), strict=True):
        for one in range(3):
            for other in range(3):
                if cost[one] <= paid < cost[other]:
                    share = (paid - cost[one]) / (cost[other] - cost[one])
                    assert (1 - share) * quality[one] + share * quality[other] <= brought + 1e-9
