"""Plans earn certificates by raising their floor: the path is from strict to chosen, and what is certified is on it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from router.certificate import Kind, Promise
from router.errors import NotCertified
from router.optimize.certify import certify
from router.optimize.floors import carried, raised
from router.optimize.parts import part
from router.optimize.table import ScoreTable
from router.strategy import Strategy
from scorer.dataset import LoggedQuery
from tests.fakelog import MODELS, FakeScorer, fake_log, fake_prices
from tests.unit.router.test_planned_cascade import plan

TRAIN, FRESH = fake_log(300, seed=1), fake_log(500, seed=2, split="dev")


class BelievingScorer(FakeScorer):
    """Believes an answer as far as the answer does itself, and a model not asked as far as its skill goes."""

    version = "v"
    columns = tuple(MODELS)

    def expect_log(self, queries: Sequence[LoggedQuery]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        skills = np.array([skill for skill, _ in MODELS.values()])
        return np.tile(skills, (len(queries), 1)), np.full((len(queries), len(skills)), 100.0)

    def believe_log(self, queries: Sequence[LoggedQuery], context: Sequence[str]) -> NDArray[np.float64]:
        beliefs = self.expect_log(queries)[0]
        for model in context:
            others = [other for other in context if other != model]
            beliefs[:, self.columns.index(model)] = self.score_log(queries, model, others)
        return beliefs


SCORER, PRICES = BelievingScorer(trained_on=TRAIN), fake_prices()


def promise(kind: Kind, alpha: float) -> Promise:
    return Promise(kind=kind, alpha=alpha, delta=0.1)


def test_the_path_leads_from_strict_to_chosen() -> None:
    table = ScoreTable.build(TRAIN, SCORER, PRICES)
    chosen = plan()
    path = raised(table, chosen)
    floors = [step.plan.floor for step in path if step.plan is not None]
    assert floors == sorted(floors, reverse=True)
    assert path[-1] == chosen
    accepted = carried(table, path, "wrong_accepted", table.models.index("large")).accepted.sum(axis=1)
    assert len(path) > 3
    assert list(accepted) == sorted(accepted)


@pytest.mark.parametrize(("kind", "alpha"), [("wrong_accepted", 0.25), ("quality_drop", 0.3)])
def test_a_plan_is_certified_with_a_floor_that_is_no_lower(tmp_path: Path, kind: Kind, alpha: float) -> None:
    found = certify(plan(), SCORER, part(FRESH, plan(), SCORER), PRICES, promise(kind, alpha))
    assert found.strategy.plan is not None
    assert found.strategy.plan.floor >= 0
    assert found.certificate.bound <= alpha
    assert found.certificate.strategy_id != found.strategy.id
    found.strategy.dump(tmp_path / "certified.json")
    assert Strategy.load(tmp_path / "certified.json") == found.strategy


def test_a_route_judges_nothing_but_may_be_as_good() -> None:
    routed = plan(cascades=False)
    parts = part(FRESH, routed, SCORER)
    with pytest.raises(NotCertified, match="judges no answer"):
        certify(routed, SCORER, parts, PRICES, promise("wrong_accepted", 0.25))
    assert certify(routed, SCORER, parts, PRICES, promise("quality_drop", 0.6)).certificate.steps == 1


def test_what_cannot_be_certified_names_the_smallest_alpha() -> None:
    with pytest.raises(NotCertified, match="smallest feasible alpha"):
        certify(plan(), SCORER, part(FRESH, plan(), SCORER), PRICES, promise("wrong_accepted", 0.001))
