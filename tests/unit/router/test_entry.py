"""A strategy's entry: kept in its file, covered by its id, refused by name where it could not be carried out."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from router.entry import Entry
from router.errors import StrategyError
from router.strategy import Stage, Strategy
from tests.unit.router.test_replay import THREE

LAW = Entry(skips={"law": ("small",), "sums": ("small", "middling")}, least=0.7)


def entered(entry: Entry | None = LAW) -> Strategy:
    return Strategy.of(
        THREE.stages, reference_model="large", safe_model="large", scorer_version="sc_fake", created="x", entry=entry
    )


def test_it_stands_in_the_file_and_makes_another_strategy_of_it(tmp_path: Path) -> None:
    strategy, plain = entered(), entered(None)
    strategy.dump(tmp_path / "s.json")
    assert Strategy.load(tmp_path / "s.json") == strategy
    assert "entry" not in plain.to_document()
    ids = {each.id for each in (strategy, plain, entered(replace(LAW, least=0.8)))}
    assert len(ids) == 3


def test_a_file_whose_entry_was_changed_is_refused(tmp_path: Path) -> None:
    document = entered().to_document()
    document["entry"]["skips"]["history"] = ["small"]
    (tmp_path / "s.json").write_text(json.dumps(document))
    with pytest.raises(StrategyError, match="was changed after it was written"):
        Strategy.load(tmp_path / "s.json")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (Entry(skips={"law": ("small",)}, least=1.1), "entry.least: must be between 0 and 1, not 1.1"),
        (Entry(skips={}, least=0.5), "entry.skips: must have at least one category"),
        (Entry(skips={"law": ()}, least=0.5), r"entry.skips\['law'\]: must be one or more of the first stages"),
        (Entry(skips={"law": ("middling",)}, least=0.5), r"entry.skips\['law'\]"),
        (Entry(skips={"law": ("small", "middling", "large")}, least=0.5), "and not all of small, middling, large"),
    ],
)
def test_what_could_not_be_carried_out_is_refused(entry: Entry, said: str) -> None:
    with pytest.raises(StrategyError, match=said):
        entered(entry)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda entry: entry.pop("least"), "entry.least"),
        (lambda entry: entry["skips"].update(law="small"), r"entry.skips\['law'\]: must be a list of names"),
        (lambda entry: entry.update(more=1), "entry.more"),
    ],
)
def test_what_is_no_entry_is_refused(change: Callable[[dict[str, Any]], object], said: str) -> None:
    document = LAW.to_document()
    change(document)
    with pytest.raises(StrategyError, match=said):
        Entry.from_document(document)


def test_it_belongs_to_cascades_that_hold_their_streams() -> None:
    with pytest.raises(StrategyError, match="entry: must be of a strategy of the kind 'threshold'"):
        entered().releasing(0.9)
    with pytest.raises(StrategyError, match="entry: must be of a strategy of the kind 'threshold'"):
        Strategy.of([Stage(model="large")], reference_model="large", safe_model="large", entry=LAW)


def test_who_is_passed_by() -> None:
    assert LAW.skipped("law", 0.7) == ("small",)
    assert LAW.skipped("law", 0.69) == LAW.skipped("history", 1.0) == LAW.skipped(None, 0.0) == ()
    assert LAW.place(("small", "middling", "large"), ("small",)) == 1
    assert LAW.place(("middling", "large"), ("small",)) == 0
    assert LAW.place(("small",), ("small",)) == 0  # the only stage left answers


@pytest.mark.parametrize(("p", "skipped"), [(0.7, ("small",)), (0.699, ()), (float("nan"), ())])
def test_a_category_that_is_not_surely_told_skips_nothing(p: float, skipped: tuple[str, ...]) -> None:
    assert LAW.skipped("law", p) == skipped
