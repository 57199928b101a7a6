"""From a table and a rule to a strategy with its evidence.

Knows the order of the steps: search, choose, judge the choice on held-out folds, write down what it was made on.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router.optimize.search import Candidates, Progress, SearchSpace
from router.optimize.selection import HeldOut, Rule, cross_validate, select
from router.optimize.table import ScoreTable
from router.strategy import Evidence, Stage, Strategy

FOLDS = 5
_USD_PER_1K = 1_000_000  # nano-USD per query in a US dollar per thousand queries


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A strategy, and everything it was chosen from."""

    strategy: Strategy
    candidates: Candidates
    index: int  # of the strategy among the candidates
    held_out: HeldOut | None


def choose(
    table: ScoreTable,
    rule: Rule,
    *,
    scorer_version: str,
    space: SearchSpace | None = None,
    progress: Progress | None = None,
) -> Choice:
    """Search, then choose by the rule. Raises StrategyError if nothing meets it.

    The strategy is a single model where no cascade is better by the rule; its evidence then says so in a note.
    """
    candidates = Candidates.search(table, space, parts=folds(table.groups), progress=progress)
    estimates = candidates.estimates()
    index = select(rule, estimates)
    held_out = cross_validate(rule, candidates)
    chain, thresholds = candidates.stages(index)
    names = [table.models[model] for model in chain]
    reference = table.models[candidates.reference]
    data_sha256, seen = Evidence.of_queries(table.query_hashes)
    evidence = Evidence(
        rule=rule.name,
        data_sha256=data_sha256,
        n_queries=table.n,
        quality=float(estimates.quality[index]),
        cost_usd_per_1k=float(estimates.cost[index]) / _USD_PER_1K,
        reference_quality=estimates.reference_quality,
        reference_cost_usd_per_1k=estimates.reference_cost / _USD_PER_1K,
        seen=seen,
        held_out_saving=None if held_out is None else held_out.saving,
        held_out_quality_delta=None if held_out is None else held_out.quality_delta,
        note=_note(names, reference, rule) if len(names) == 1 else "",
    )
    strategy = Strategy.of(
        [Stage(model=name, threshold=t) for name, t in zip(names, [*thresholds, None], strict=True)],
        reference_model=reference,
        safe_model=reference,
        scorer_version=scorer_version,
        evidence=evidence,
    )
    return Choice(strategy=strategy, candidates=candidates, index=index, held_out=held_out)


def folds(groups: tuple[str, ...]) -> NDArray[np.intp]:
    """(n,) a fold of 0 … FOLDS - 1 for each query, as even as can be; queries of one group have the same one."""
    ranks = np.unique(np.asarray(groups), return_inverse=True)[1]
    return np.asarray(ranks.reshape(-1) % FOLDS, dtype=np.intp)


def _note(names: list[str], reference: str, rule: Rule) -> str:
    which = "the best single model" if names[0] == reference else "a single model"
    return f"use {names[0]} alone, {which}: by the rule {rule.name}, no cascade is surely better on this data"
