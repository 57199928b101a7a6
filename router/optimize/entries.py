"""Choosing at which stage queries of a category enter: first stages that cost more than they bring are passed by.

Knows tables, cascades and rules. A category's entry is chosen on queries whose category was told out of fold, and what
all entries together are worth is estimated with everything chosen anew without each fold: the cascade, its thresholds,
and the entries.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from router.entry import Entry
from router.errors import StrategyError
from router.optimize.carried import Carried, carry_out
from router.optimize.search import Candidates
from router.optimize.selection import HeldOut, Rule, select
from router.optimize.simulate import Chain, play
from router.optimize.table import ScoreTable
from router.strategy import Evidence, Stage, Strategy

LEAST = 0.7
"""How likely a query's category must be for it to enter elsewhere."""

_FEWEST = 30  # queries of a category from which something about it is believed
_USD_PER_1K = 1_000_000  # nano-USD per query in a US dollar per thousand queries
_NEARLY = 0.005  # of quality: less is within what held-out folds can tell


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryChoice:
    """strategy : with its entry, or as it was where that is worth nothing.   with_entry, without : on held-out folds.

    moved : the share of the queries that enter later.
    """

    strategy: Strategy
    with_entry: HeldOut | None
    without: HeldOut | None
    moved: float
    note: str

    @property
    def held_out(self) -> HeldOut | None:
        """What the strategy is worth by its entry; None where it has none."""
        return None if self.strategy.entry is None else self.with_entry


def choose_entry(table: ScoreTable, strategy: Strategy, rule: Rule, candidates: Candidates) -> EntryChoice:
    """The strategy with the entry that its table speaks for. Raises StrategyError where the scorer tells no categories.

    candidates : what the strategy was chosen among, with its folds.
    """
    _ = table.categories
    if strategy.kind != "threshold":
        why = f"no entry: the strategy is of the kind {strategy.kind!r}, and asks no stage before another by threshold"
        return EntryChoice(strategy=strategy, with_entry=None, without=None, moved=0.0, note=why)
    chain = tuple(table.models.index(model) for model in strategy.models)
    thresholds = [stage.threshold for stage in strategy.stages if stage.threshold is not None]
    entry = found(table, chain, thresholds, rule.caution)
    both = held_out(table, rule, candidates)
    with_entry, without = (None, None) if both is None else both
    if entry is None:
        why = "no entry: for no category does skipping the first stages surely cost less and lose nothing"
    elif with_entry is None or without is None:
        why = "no entry: what it is worth on held-out folds cannot be told"
    elif with_entry.saving <= without.saving or with_entry.quality_delta < without.quality_delta - _NEARLY:
        why = "no entry: on held-out folds it does not save more, or loses quality"
    else:
        entered = replace(strategy, entry=entry)
        done = carry_out(table, entered)
        evidence = None if strategy.evidence is None else _evidence(strategy.evidence, with_entry, done)
        entered = Strategy.of(
            strategy.stages,
            reference_model=strategy.reference_model,
            safe_model=strategy.safe_model,
            scorer_version=strategy.scorer_version,
            evidence=evidence,
            entry=entry,
        )
        moved = float(1 - done.called[:, 0].mean())
        return EntryChoice(strategy=entered, with_entry=with_entry, without=without, moved=moved, note="")
    return EntryChoice(strategy=strategy, with_entry=with_entry, without=without, moved=0.0, note=why)


def found(table: ScoreTable, chain: Chain, thresholds: Sequence[float], caution: float) -> Entry | None:
    """By category the stages that are better passed by: surely (by ``caution`` standard errors) cheaper, and the mean
    quality no lower. None where there is no such category."""
    skips: dict[str, tuple[str, ...]] = {}
    for name, rows in _by_category(table).items():
        part = table.take(rows)
        whole = play(part, chain, thresholds)
        best = 0.0
        for n in range(1, len(chain)):
            later = play(part, chain[n:], thresholds[n:])
            dearer = (later.cost_nanousd - whole.cost_nanousd).astype(np.float64)
            surely = float(dearer.mean() + caution * dearer.std() / np.sqrt(len(rows)))
            if surely < best and float((later.quality - whole.quality).mean()) >= 0:
                best, skips[name] = surely, tuple(table.models[model] for model in chain[:n])
    return Entry(skips=skips, least=LEAST) if skips else None


def held_out(table: ScoreTable, rule: Rule, candidates: Candidates) -> tuple[HeldOut, HeldOut] | None:
    """What choosing without each fold brought on it, with an entry and without. None where that cannot be told."""
    parts = np.unique(candidates.parts).tolist()
    if len(parts) < 2:
        return None
    reference = candidates.reference
    sums = np.zeros((2, 2))  # with and without: gain, cost
    for part in parts:
        try:
            chain, thresholds = candidates.stages(select(rule, candidates.estimates(without=part)))
        except StrategyError:
            return None
        inside, outside = (np.flatnonzero(mask) for mask in (candidates.parts == part, candidates.parts != part))
        seen = table.take(inside)
        plain = _strategy(table, chain, thresholds, None)
        entry = found(table.take(outside), chain, thresholds, rule.caution)
        for row, each in enumerate((_strategy(table, chain, thresholds, entry), plain)):
            done = carry_out(seen, each)
            gain = float((done.quality - seen.quality[:, reference]).sum())
            sums[row] += gain, float(done.cost_nanousd.sum())
    base = float(table.cost_nanousd[:, reference].sum())
    with_entry, without = (
        HeldOut(saving=1 - cost / base if base else 0.0, quality_delta=gain / table.n, folds=len(parts))
        for gain, cost in sums.tolist()
    )
    return with_entry, without


def _strategy(table: ScoreTable, chain: Chain, thresholds: Sequence[float], entry: Entry | None) -> Strategy:
    names = [table.models[model] for model in chain]
    return Strategy.of(
        [Stage(model=name, threshold=t) for name, t in zip(names, [*thresholds, None], strict=True)],
        reference_model=names[-1],
        safe_model=names[-1],
        scorer_version="held out",
        created="",
        entry=entry,
    )


def _by_category(table: ScoreTable) -> Mapping[str, NDArray[np.intp]]:
    rows: dict[str, list[int]] = {}
    for row, category in enumerate(table.categories):
        if category is not None and category.p >= LEAST:
            rows.setdefault(category.name, []).append(row)
    return {name: np.array(each) for name, each in sorted(rows.items()) if len(each) >= _FEWEST}


def _evidence(evidence: Evidence, held: HeldOut, done: Carried) -> Evidence:
    return replace(
        evidence,
        quality=float(done.quality.mean()),
        cost_usd_per_1k=float(done.cost_nanousd.mean()) / _USD_PER_1K,
        held_out_saving=held.saving,
        held_out_quality_delta=held.quality_delta,
    )
