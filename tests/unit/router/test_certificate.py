"""Certificates say what they promise, and a file in which one was changed, moved or taken away is refused."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from router.certificate import Certificate, Kind, Method, Promise, assumptions, mark
from router.errors import StrategyError
from router.strategy import Stage, Strategy

PROMISE = Promise(kind="wrong_accepted", alpha=0.05, delta=0.1)


def bare(threshold: float = 0.7) -> Strategy:
    stages = (Stage(model="small", threshold=threshold), Stage(model="large"))
    return Strategy.of(stages, reference_model="large", safe_model="large", scorer_version="sc_1", created="2026-01-01")


def certificate(strategy: Strategy | None = None, promise: Promise = PROMISE) -> Certificate:
    return Certificate(
        promise=promise,
        controlled=promise.in_words("large", fractional=False),
        assumptions=assumptions("binomial"),
        test="binomial",
        n=1000,
        n_accepted=400,
        observed=0.03,
        p_value=0.04,
        bound=0.045,
        steps=40,
        tested=7,
        n_selection=300,
        strategy_id=(strategy or bare()).id,
        made_from="st_other",
        reference_model="large",
        scorer_version="sc_1",
        data_sha256="d" * 64,
        date="2026-01-01T00:00:00+00:00",
        seen=frozenset({mark("a" * 64), mark("b" * 64)}),
    )


def test_it_is_part_of_what_the_id_is_of() -> None:
    certified = bare().certified(certificate())
    assert certified.id != bare().id
    assert replace(certified, certificate=None).content_id() == bare().id
    assert certified.chosen_on("a" * 64)
    assert not certified.chosen_on("c" * 64)


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    certified = bare().certified(certificate())
    certified.dump(tmp_path / "s.json")
    assert Strategy.load(tmp_path / "s.json") == certified
    assert "certificate" not in bare().to_document()  # so that ids of strategies without one are as they were


def test_it_is_of_one_strategy_only() -> None:
    with pytest.raises(StrategyError, match=r"certificate\.strategy_id: is 'st_.*', but the strategy is 'st_"):
        bare(0.6).certified(certificate())
    with pytest.raises(StrategyError, match="another reference model or scorer"):
        bare().certified(replace(certificate(), scorer_version="sc_2"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"observed": 0.01}, "the file was changed"),
        ({"date": "2030-01-01"}, "the file was changed"),
        ({"seen": "aa"}, "the file was changed"),
        (
            {"promise": {"kind": "wrong_accepted", "method": "learn_then_test", "alpha": 0.01, "delta": 0.1}},
            "was changed",
        ),
        (
            {"promise": {"kind": "luck", "method": "learn_then_test", "alpha": 0.01, "delta": 0.1}},
            "kind: must be one of",
        ),
        ({"strategy_id": "st_x"}, r"certificate\.strategy_id: is 'st_x'"),
        ({"test": "guess"}, r"certificate\.test: must be one of binomial"),
        ({"n": 1.5}, r"certificate\.n: must be an integer"),
        ({"assumptions": [1]}, r"certificate\.assumptions: must be a list of strings"),
        ({"extra": 1}, r"certificate\.extra: is not a field"),
    ],
)
def test_a_changed_certificate_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    document = bare().certified(certificate()).to_document()
    document["certificate"] |= change
    (tmp_path / "s.json").write_text(json.dumps(document))
    with pytest.raises(StrategyError, match=message):
        Strategy.load(tmp_path / "s.json")


def test_a_certificate_taken_away_is_missed(tmp_path: Path) -> None:
    document = bare().certified(certificate()).to_document()
    del document["certificate"]
    (tmp_path / "s.json").write_text(json.dumps(document))
    with pytest.raises(StrategyError, match="the file was changed"):
        Strategy.load(tmp_path / "s.json")


def test_what_is_told_is_json_without_the_queries() -> None:
    told = certificate().told()
    assert json.loads(json.dumps(told)) == told
    assert "seen" not in told
    assert told["promise"] == {"kind": "wrong_accepted", "method": "learn_then_test", "alpha": 0.05, "delta": 0.1}


@pytest.mark.parametrize(
    ("kind", "method", "delta", "words"),
    [
        (
            "wrong_accepted",
            "learn_then_test",
            0.1,
            "With probability 0.9 over the draw .* a share of 0.05 of the answers",
        ),
        ("quality_drop", "learn_then_test", 0.1, "the mean quality is at most 0.05 below that of large"),
        ("wrong_accepted", "conformal", None, "On average .* This is an expectation: .* may be higher"),
    ],
)
def test_a_promise_in_words(kind: Kind, method: Method, delta: float | None, words: str) -> None:
    promise = Promise(kind=kind, method=method, alpha=0.05, delta=delta)
    assert re.search(words, promise.in_words("large", fractional=False))
    assert promise.in_words("large", fractional=False).endswith(".")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "speed"}, "kind: must be one of wrong_accepted, quality_drop, not 'speed'"),
        ({"method": "hope"}, "method: must be one of"),
        ({"alpha": 0.0}, "alpha: must be between 0 and 1"),
        ({"alpha": 1.0}, "alpha: must be between 0 and 1"),
        ({"delta": None}, "delta: is missing"),
        ({"delta": 1.0}, "delta: must be between 0 and 1, not 1"),
        ({"method": "conformal"}, "delta: means nothing to conformal"),
        ({"method": "conformal", "delta": None, "kind": "quality_drop"}, "kind: conformal .* wrong_accepted only"),
    ],
)
def test_a_promise_that_cannot_be_made_is_refused_by_name(fields: dict[str, Any], message: str) -> None:
    right: dict[str, Any] = {"kind": "wrong_accepted", "alpha": 0.05, "delta": 0.1}
    with pytest.raises(StrategyError, match=message):
        Promise(**(right | fields))
