"""Quality is what people said, with an interval that holds it; without labels nothing is claimed; shifts are told."""

import random
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from gateway.dashboard.facts import Facts, PolicyFacts
from gateway.dashboard.quality_page import FEWEST, interval, quality
from gateway.ledger.reviews import Labelled
from router.strategy import Stage, Strategy
from scorer.errors import TooLittleData
from scorer.evaluation import stability_index
from tests.unit.gateway.dashboard.test_whatif import CALL, SEEN

ONE = Labelled(decision_id="d", policy="p", model="small", stage=0, score=0.8, label=1.0, reviewers=1)
STRATEGY = Strategy.of([Stage(model="large")], reference_model="large", safe_model="large")
FACTS = Facts(policies=(PolicyFacts(name="p", safe_model="large", strategy=STRATEGY, unlike_rate=0.01),))


def test_an_interval_holds_the_truth_in_nineteen_of_twenty() -> None:
    pick, inside = random.Random(1), 0
    for _ in range(1000):
        told = interval([float(pick.random() < 0.9) for _ in range(40)])
        assert told is not None
        inside += told[0] <= 0.9 <= told[2]
    assert inside >= 930
    assert interval([]) is None
    assert interval([1.0]) == pytest.approx((0.2065, 1.0, 1.0), abs=1e-3)


def test_without_labels_nothing_is_measured() -> None:
    page = quality(FACTS, [SEEN], [])
    assert page.remarks[0].startswith("No labels yet")
    assert (page.cards[0].value, page.cards[0].more, page.cards[1].value) == (None, "no labels yet", 0)
    assert page.cards[2].value == 0.8


def test_a_tier_says_nothing_of_its_calibration_before_it_has_enough_labels() -> None:
    few = [replace(ONE, decision_id=str(n)) for n in range(FEWEST - 1)]
    shown = quality(FACTS, [], few).panel("reliability")
    assert shown is not None
    assert (shown.table.rows, f"has {FEWEST - 1}" in shown.empty) == ((), True)
    shown = quality(FACTS, [], [*few, ONE]).panel("reliability")
    assert shown is not None
    assert sum(int(row[1] or 0) for row in shown.table.rows) == FEWEST
    assert shown.table.rows[0][-1] == pytest.approx(0.2)  # 0.8 stated, all good


def test_more_unlike_traffic_than_expected_is_a_thing_to_do() -> None:
    unlike = replace(SEEN, abstention="unlike_text")
    usual = quality(FACTS, [SEEN] * 99 + [unlike], [])
    assert (usual.todos, usual.panel("drift").table.rows[0][-1]) == ((), "as expected")  # type: ignore[union-attr]
    much = quality(FACTS, [SEEN] * 80 + [unlike] * 20, [])
    assert [todo.subject for todo in much.todos] == ["p"]


def test_scores_that_moved_are_told() -> None:
    def scored(score: float) -> object:
        return replace(SEEN, steps=(replace(CALL, score=score),))

    pick = random.Random(2)
    older, newer = ([scored(pick.betavariate(*shape)) for _ in range(600)] for shape in ((8, 2), (2, 8)))
    for newest, state in (([*newer, *older], "shifted"), ([*older, *older[::-1]], "stable")):
        assert quality(FACTS, newest, []).panel("shift").table.rows[0][-1] == state  # type: ignore[arg-type, union-attr]


def test_a_distribution_against_itself_has_hardly_moved() -> None:
    values = np.random.default_rng(4).random(2000)
    assert stability_index(values, values) < 1e-9
    assert stability_index(values[:1000], values[1000:]) < 0.05
    assert stability_index(values, values**3) > 0.2
    assert stability_index(np.zeros(50), np.zeros(50)) == pytest.approx(0)
    with pytest.raises(TooLittleData):
        stability_index(values[:5], values)


def test_days_on_which_a_certificate_did_not_hold_are_told_with_their_reasons() -> None:
    voids = {date(2026, 10, 3): {"tiers": 2, "pressure": 1}, date(2026, 10, 5): {"tiers": 4}}
    panel = next(one for one in quality(Facts(), (), (), voids).panels if one.id == "voided")
    assert panel.table.rows == (("2026-10-03", 3, "pressure 1, tiers 2"), ("2026-10-05", 4, "tiers 4"))
    assert panel.chart is not None
    assert {series.name: series.values for series in panel.chart.series} == {"tiers": (2, 4), "pressure": (1, 0)}
    nothing = next(one for one in quality(Facts(), (), ()).panels if one.id == "voided")
    assert (nothing.chart, nothing.table.rows) == (None, ())
