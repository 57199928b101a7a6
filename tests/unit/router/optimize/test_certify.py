"""A certificate is of the strategy that carries it, says what it rests on, and is never of anything more lenient."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from router.certificate import Kind, Method, Promise
from router.errors import NotCertified, StrategyError
from router.optimize.certify import certify, data_sha256
from router.optimize.choose import choose
from router.optimize.parts import Parts, part
from router.optimize.selection import Rule
from router.optimize.table import ScoreTable
from router.replay import replay
from router.strategy import Stage, Strategy
from tests.fakelog import FakeScorer, fake_log, fake_prices

TRAIN, FRESH = fake_log(300, seed=1), fake_log(500, seed=2, split="dev")
SCORER, PRICES = FakeScorer(trained_on=TRAIN), fake_prices()


def chosen() -> Strategy:
    table = ScoreTable.build(TRAIN, SCORER, PRICES)
    return choose(table, Rule(goal="match-best", caution=0), scorer_version=SCORER.version).strategy


def parts() -> Parts:
    return part([*TRAIN, *FRESH], chosen(), SCORER, leave_out_seen=True)


def promise(kind: Kind = "wrong_accepted", alpha: float = 0.1, method: Method = "learn_then_test") -> Promise:
    return Promise(kind=kind, method=method, alpha=alpha, delta=None if method == "conformal" else 0.1)


@pytest.mark.parametrize(
    ("kind", "alpha", "method", "test"),
    [
        ("wrong_accepted", 0.1, "learn_then_test", "binomial"),
        ("wrong_accepted", 0.08, "conformal", "conformal"),
        ("quality_drop", 0.2, "learn_then_test", "betting"),
    ],
)
def test_the_certificate_is_the_strategys_own_and_survives_its_file(
    tmp_path: Path, kind: Kind, alpha: float, method: Method, test: str
) -> None:
    found = certify(chosen(), SCORER, parts(), PRICES, promise(kind, alpha, method))
    certificate, strategy = found.certificate, found.strategy
    assert certificate.test == test
    assert certificate.strategy_id == replace(strategy, certificate=None).content_id() != strategy.id
    assert certificate.made_from == chosen().id
    assert (certificate.n, certificate.n_selection) == (500, 300)
    assert certificate.bound <= alpha
    assert certificate.observed <= certificate.bound
    assert f"{alpha:g}" in certificate.controlled
    assert any("exchangeability" in assumption for assumption in certificate.assumptions)
    path = tmp_path / "certified.json"
    strategy.dump(path)
    assert Strategy.load(path) == strategy


def test_numbers_are_those_of_the_certified_strategy() -> None:
    found = certify(chosen(), SCORER, parts(), PRICES, promise())
    assert found.raised
    report = replay(found.strategy, SCORER, FRESH, PRICES)
    assert found.saving == report.saving
    assert found.certificate.n_accepted == sum(stage.accepted for stage in report.stages[:-1])
    assert found.saving_chosen is not None
    assert found.saving is not None
    assert found.saving < found.saving_chosen
    for raised, before in zip(found.strategy.stages[:-1], chosen().stages, strict=False):
        assert raised.threshold is not None
        assert before.threshold is not None
        assert raised.threshold >= before.threshold
    assert found.strategy.evidence is not None
    assert chosen().id in found.strategy.evidence.note
    assert found.strategy.evidence.held_out_saving is None


def test_what_keeps_the_promise_as_it_is_keeps_its_thresholds() -> None:
    found = certify(chosen(), SCORER, parts(), PRICES, promise(alpha=0.5))
    assert not found.raised
    assert found.certificate.strategy_id == found.certificate.made_from == chosen().id
    assert found.strategy.stages == chosen().stages
    assert found.strategy.evidence == chosen().evidence


def test_the_data_that_certified_cannot_certify_again() -> None:
    certified = certify(chosen(), SCORER, parts(), PRICES, promise()).strategy
    with pytest.raises(StrategyError, match="was chosen or certified on 500"):
        part(FRESH, certified, SCORER)
    assert any("500 of 500" in warning for warning in replay(certified, SCORER, FRESH, PRICES).warnings)


def test_certified_twice_is_another_strategy_by_date_only() -> None:
    one, two = (
        certify(chosen(), SCORER, parts(), PRICES, promise(), date=date) for date in ("2026-01-01", "2026-01-02")
    )
    assert one.strategy.id != two.strategy.id
    assert replace(one.certificate, date="") == replace(two.certificate, date="")


def test_a_single_model_accepts_nothing_by_judgement_but_may_be_as_good() -> None:
    single = Strategy.of([Stage(model="middling")], reference_model="large", safe_model="large")
    itself = Strategy.of([Stage(model="large")], reference_model="large", safe_model="large")
    unseen = part(FRESH, single, SCORER)
    with pytest.raises(NotCertified, match="judges no answer"):
        certify(single, SCORER, unseen, PRICES, promise())
    assert certify(single, SCORER, unseen, PRICES, promise("quality_drop", 0.3)).certificate.n_accepted == 0
    assert certify(itself, SCORER, unseen, PRICES, promise("quality_drop", 0.02)).certificate.observed == 0


def test_what_does_not_fit_is_refused() -> None:
    other = FakeScorer()
    other.version = "sc_other"
    with pytest.raises(StrategyError, match="belongs to the scorer sc_fake, not to sc_other"):
        certify(chosen(), other, parts(), PRICES, promise())
    alien = Strategy.of(
        [Stage(model="alien", threshold=0.5), Stage(model="large")],
        reference_model="large",
        safe_model="large",
        scorer_version="sc_fake",
    )
    with pytest.raises(StrategyError, match="stage model 'alien': has no answers"):
        certify(alien, SCORER, part(FRESH, alien, SCORER), PRICES, promise())


def test_labels_between_0_and_1_are_tested_by_betting() -> None:
    def lacking(share: float) -> Parts:
        log = []
        for query in [*TRAIN, *FRESH]:
            answers = {m: replace(a, quality=a.quality * share) for m, a in query.answers.items()}
            log.append(replace(query, answers=answers))
        return part(log, chosen(), SCORER, leave_out_seen=True)

    found = certify(chosen(), SCORER, lacking(0.99), PRICES, promise(alpha=0.2))
    assert found.certificate.test == "betting"
    assert "on average" in found.certificate.controlled


def test_the_datas_hash_covers_labels_and_no_order() -> None:
    table = ScoreTable.build(FRESH, SCORER, PRICES)
    rows = np.arange(table.n)
    assert data_sha256(table.take(rows[::-1]), (0, 1), 1) == data_sha256(table, (0, 1), 1)
    table.quality[3, 1] = 0.5
    changed = data_sha256(table, (0, 1), 1)
    assert changed != data_sha256(ScoreTable.build(FRESH, SCORER, PRICES), (0, 1), 1)
