"""Entries are chosen where the first stage only costs, and nothing is judged on what it was chosen on."""

import numpy as np
import pytest

from router.errors import StrategyError
from router.optimize.choose import choose
from router.optimize.entries import LEAST, choose_entry, found
from router.optimize.selection import Rule
from router.optimize.table import ScoreTable
from scorer.categories import Category

RULE = Rule(goal="match-best")


def table(n: int, *, hopeless: bool = True, sure: float = 0.9, seed: int = 0, sort: bool = True) -> ScoreTable:
    """Even queries are sums, on which small is right and says so. Odd ones are law, where it is hardly ever right."""
    rng = np.random.default_rng(seed)
    law = np.arange(n) % 2 == 1
    small = np.where(law & hopeless, rng.random(n) < 0.02, rng.random(n) < 0.9)
    quality = np.column_stack([small, rng.random(n) < 0.97]).astype(np.float64)
    score = np.clip(np.where(small, 0.9, 0.1) + rng.normal(0, 0.02, n), 0, 1)
    told = [Category(name="law" if each else "sums", p=sure) for each in law.tolist()]
    return ScoreTable(
        models=("small", "large"),
        query_hashes=tuple(f"{i:064x}" for i in range(n)),
        quality=quality,
        cost_nanousd=np.tile(np.array([20, 100], dtype=np.int64), (n, 1)),
        scores=lambda _model, _context: score,
        sort=(lambda: told) if sort else None,
    )


def test_where_the_first_stage_is_hardly_ever_good_it_is_not_asked() -> None:
    tried = table(600)
    plain = choose(tried, RULE, scorer_version="v", kind="threshold")
    choice = choose_entry(tried, plain.strategy, RULE, plain.candidates)
    assert choice.strategy.entry is not None
    assert (dict(choice.strategy.entry.skips), choice.strategy.entry.least) == ({"law": ("small",)}, LEAST)
    assert choice.moved == 0.5
    assert choice.with_entry is not None
    assert choice.without is not None
    assert choice.with_entry.saving > choice.without.saving
    evidence = choice.strategy.evidence
    assert evidence is not None
    assert evidence.held_out_saving == choice.with_entry.saving
    assert plain.strategy.evidence is not None
    assert evidence.cost_usd_per_1k < plain.strategy.evidence.cost_usd_per_1k


@pytest.mark.parametrize("tried", [table(600, hopeless=False), table(600, sure=LEAST - 0.01), table(50)])
def test_elsewhere_everything_stays_as_it_is(tried: ScoreTable) -> None:
    plain = choose(tried, RULE, scorer_version="v", kind="threshold")
    choice = choose_entry(tried, plain.strategy, RULE, plain.candidates)
    assert choice.strategy == plain.strategy
    assert choice.note.startswith("no entry: ")


def test_on_held_out_folds_cascade_and_entry_are_chosen_without_them(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = table(600)
    plain = choose(tried, RULE, scorer_version="v", kind="threshold")
    seen: list[set[str]] = []

    def watched(part: ScoreTable, *rest: object) -> object:
        seen.append(set(part.query_hashes))
        return found(part, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr("router.optimize.entries.found", watched)
    choose_entry(tried, plain.strategy, RULE, plain.candidates)
    folds = [{tried.query_hashes[row] for row in np.flatnonzero(plain.candidates.parts == n)} for n in range(5)]
    assert seen[0] == set(tried.query_hashes)
    assert seen[1:] == [set(tried.query_hashes) - fold for fold in folds]


def test_it_takes_a_scorer_that_tells_categories() -> None:
    tried = table(600, sort=False)
    plain = choose(tried, RULE, scorer_version="v", kind="threshold")
    with pytest.raises(StrategyError, match="the scorer tells none"):
        choose_entry(tried, plain.strategy, RULE, plain.candidates)


def test_a_single_model_has_nothing_to_skip() -> None:
    tried = table(600)
    alone = choose(tried, RULE, scorer_version="v", kind="best_single")
    choice = choose_entry(tried, alone.strategy, RULE, alone.candidates)
    assert choice.strategy == alone.strategy
    assert "of the kind 'best_single'" in choice.note
