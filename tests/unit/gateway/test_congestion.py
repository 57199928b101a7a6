"""Busy engines make a plan's models dearer to choose; that is told, and what is kept is not made of it."""

import time
from dataclasses import replace

from gateway.choice import Choice
from gateway.congestion import priced_by_load
from router.backends.load import Load
from router.backends.pool import Pool, PoolRules
from router.certificate import Certificate
from router.strategy import single
from tests.unit.router.cascades import Model
from tests.unit.router.test_planned_cascade import plan


def choice(*, planned: bool = True) -> Choice:
    strategy = plan() if planned else single("small")
    return Choice(policy="p", strategy=strategy, scorer=None, cache="off", tiers=strategy.models)


def pools(running: int) -> dict[str, Pool]:
    made = {name: Pool.of(Model(name)) for name in ("middling", "large")}
    made["small"] = Pool.of(Model("small"), rules=PoolRules(places=4, most_congestion=10))
    made["small"].measured(made["small"].deployments[0], Load(running=running, waiting=0, at=time.monotonic()))
    return made


def test_who_is_busy_is_dearer_and_that_is_told() -> None:
    before = choice()
    after = priced_by_load(before, pools(3))
    assert after.strategy.plan is not None
    assert after.strategy.plan.congestion == (4.0, 1.0, 1.0)
    assert after.altered == ("congestion",)
    assert after.strategy.id == before.strategy.id
    assert after.identity == before.identity  # a kept answer is one that idle engines gave, and may be served


def test_a_certificate_of_idle_engines_is_void() -> None:
    certified = choice()
    certified = replace(certified, strategy=replace(certified.strategy, certificate=Certificate.__new__(Certificate)))
    assert certified.certificate == "holds"
    assert priced_by_load(certified, pools(3)).certificate == "void: congestion"
    assert priced_by_load(certified, pools(0)).certificate == "holds"


def test_what_weighs_nothing_stays_as_it_is() -> None:
    idle, unplanned = choice(), choice(planned=False)
    assert priced_by_load(idle, pools(0)) is idle
    assert priced_by_load(unplanned, pools(3)) is unplanned
