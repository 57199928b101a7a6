"""From a table and a rule to a strategy with its evidence.

Knows the order of the steps: search, choose, judge the choice on held-out folds, write down what it was made on.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from router.optimize.folding import folds
from router.optimize.frontier import Point, spread_out, with_bands
from router.optimize.plans import PlanChoice, choose_plan
from router.optimize.search import Candidates, Progress, SearchSpace, per_query
from router.optimize.selection import HeldOut, Rule, cross_validate, select
from router.optimize.singles import MARGIN, cheapest_equal
from router.optimize.table import ScoreTable
from router.strategy import Evidence, Kind, Stage, Strategy

_PLANNED: tuple[Kind, ...] = ("cascade_route", "route")
_NEARLY = 0.005  # of quality: less is within what held-out folds can tell
_USD_PER_1K = 1_000_000  # nano-USD per query in a US dollar per thousand queries


@dataclass(frozen=True, slots=True, kw_only=True)
class Single:
    """The cheapest single model that is surely at most a margin worse than the reference, and how it did."""

    model: str
    quality: float
    cost_usd_per_1k: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A strategy, and everything it was chosen from."""

    strategy: Strategy
    candidates: Candidates
    index: int  # among the candidates, of the best threshold cascade
    held_out: HeldOut | None
    by_kind: Mapping[Kind, HeldOut | None]  # what the choice of each kind that was tried is worth on held-out folds
    kind: Kind  # the one worth most, or asked for; a single model may still be the choice
    frontier: tuple[Point, ...]  # of that kind, on the table; what is fitted is out of fold
    equal: Single

    def to_document(self) -> dict[str, Any]:
        """The strategy's document, and beside its fields what it was chosen among."""
        return self.strategy.to_document() | {
            "cheapest_equal": asdict(self.equal),
            "by_kind": {kind: None if held is None else asdict(held) for kind, held in self.by_kind.items()},
            "frontier": [point.to_document() for point in self.frontier],
        }


def choose(
    table: ScoreTable,
    rule: Rule,
    *,
    scorer_version: str,
    space: SearchSpace | None = None,
    progress: Progress | None = None,
    kind: Kind | None = None,
) -> Choice:
    """Search, then choose by the rule. Raises StrategyError if nothing meets it.

    kind : of strategy; None takes the kind whose choices are worth most on held-out folds.
    The strategy is a single model where nothing else is better by the rule; its evidence then says so in a note. So it
    is where the reference is to be matched by any kind, and the cheapest equal single model costs no more than what was
    found costs on held-out folds.
    """
    if kind == "best_single":
        space = SearchSpace(depth=1)
    candidates = Candidates.search(table, space, parts=folds(table.groups), progress=progress)
    index = select(rule, candidates.estimates())
    by_kind: dict[Kind, HeldOut | None] = {"threshold": cross_validate(rule, candidates)}
    plans: dict[Kind, PlanChoice] = {}
    tried = _PLANNED if kind is None and table.foresees and len(candidates.part_sizes) > 1 else ()
    for planned in tried if kind not in _PLANNED else (kind,):
        plans[planned] = choose_plan(table, rule, route=planned == "route", progress=progress)
        by_kind[planned] = plans[planned].held_out
    best = kind if kind in plans else "threshold" if kind is not None else _best_kind(rule, by_kind)
    held_out, equal = by_kind.get(best), cheapest_equal(table, candidates.reference)
    if kind is None and _is_beaten(table, rule, held_out, equal):
        strategy = _alone(table, rule, equal, scorer_version)
    elif best in plans:
        strategy = _planned(table, rule, plans[best], scorer_version)
    else:
        strategy = _threshold(table, rule, candidates, index, held_out, scorer_version)
    return Choice(
        strategy=strategy,
        candidates=candidates,
        index=index,
        held_out=held_out,
        by_kind=by_kind,
        kind=best,
        frontier=plans[best].frontier if best in plans else _frontier(candidates),
        equal=Single(
            model=table.models[equal],
            quality=float(table.quality[:, equal].mean()),
            cost_usd_per_1k=float(table.cost_nanousd[:, equal].mean()) / _USD_PER_1K,
        ),
    )


def _is_beaten(table: ScoreTable, rule: Rule, held_out: HeldOut | None, equal: int) -> bool:
    """Whether the equal single model costs no more than the choice, as far as held-out folds can tell."""
    if rule.goal != "match-best" or held_out is None:
        return False
    spent = table.cost_nanousd.mean(axis=0)
    return float(spent[equal]) <= (1 - held_out.saving) * float(spent[table.reference()])


def _frontier(candidates: Candidates) -> tuple[Point, ...]:
    table, rows = candidates.table, spread_out(candidates.frontier())
    played = [per_query(candidates, int(row)) for row in rows]
    names = []
    for row in rows:
        chain, thresholds = candidates.stages(int(row))
        models = [table.models[model] for model in chain]
        names.append(" → ".join([*(f"{m} ≥ {t:.3f}" for m, t in zip(models, thresholds, strict=False)), models[-1]]))
    quality = np.array([quality for quality, _ in played])
    cost = np.array([cost for _, cost in played], dtype=np.float64)
    return with_bands(names, quality, cost, table.quality[:, candidates.reference])


def _best_kind(rule: Rule, by_kind: Mapping[Kind, HeldOut | None]) -> Kind:
    """By what is wanted: quality, or saving among those that lose hardly any; the simplest of equals."""

    def worth(kind: Kind) -> tuple[float, float]:
        held = by_kind[kind]
        if held is None:
            return -np.inf, -np.inf
        if rule.goal in ("budget-usd-per-1k", "max-quality-at-best-cost"):
            return held.quality_delta, held.saving
        return min(held.quality_delta + _NEARLY, 0.0), held.saving

    return max(by_kind, key=worth)


def _threshold(
    table: ScoreTable, rule: Rule, candidates: Candidates, index: int, held_out: HeldOut | None, scorer_version: str
) -> Strategy:
    estimates = candidates.estimates()
    chain, thresholds = candidates.stages(index)
    names = [table.models[model] for model in chain]
    reference = table.models[candidates.reference]
    cost = float(estimates.cost[index])
    note = _note(names, reference, rule) if len(names) == 1 else ""
    return Strategy.of(
        [Stage(model=name, threshold=t) for name, t in zip(names, [*thresholds, None], strict=True)],
        reference_model=reference,
        safe_model=reference,
        scorer_version=scorer_version,
        evidence=_evidence(table, rule, float(estimates.quality[index]), cost, held_out, note),
    )


def _planned(table: ScoreTable, rule: Rule, choice: PlanChoice, scorer_version: str) -> Strategy:
    if choice.plan is None:
        return _alone(table, rule, table.reference(), scorer_version, choice.held_out)
    reference = table.models[table.reference()]
    evidence = _evidence(table, rule, choice.quality, choice.cost_nanousd, choice.held_out, "")
    evidence = replace(evidence, frontier=choice.by_exchange)
    return Strategy.planned(choice.plan, safe_model=reference, scorer_version=scorer_version, evidence=evidence)


def _alone(table: ScoreTable, rule: Rule, model: int, scorer_version: str, held_out: HeldOut | None = None) -> Strategy:
    reference, name = table.models[table.reference()], table.models[model]
    note = _note([name], reference, rule)
    if name != reference:
        note += f"; it is surely at most {MARGIN:.0%} worse than {reference}, and costs no more than a cascade would"
    quality, cost = float(table.quality[:, model].mean()), float(table.cost_nanousd[:, model].mean())
    return Strategy.of(
        [Stage(model=name)],
        reference_model=reference,
        safe_model=reference,
        scorer_version=scorer_version,
        evidence=_evidence(table, rule, quality, cost, held_out, note),
    )


def _evidence(
    table: ScoreTable, rule: Rule, quality: float, cost: float, held_out: HeldOut | None, note: str
) -> Evidence:
    data_sha256, seen = Evidence.of_queries(table.query_hashes)
    reference = table.reference()
    return Evidence(
        rule=rule.name,
        data_sha256=data_sha256,
        n_queries=table.n,
        quality=quality,
        cost_usd_per_1k=cost / _USD_PER_1K,
        reference_quality=float(table.quality[:, reference].mean()),
        reference_cost_usd_per_1k=float(table.cost_nanousd[:, reference].mean()) / _USD_PER_1K,
        seen=seen,
        held_out_saving=None if held_out is None else held_out.saving,
        held_out_quality_delta=None if held_out is None else held_out.quality_delta,
        note=note,
    )


def _note(names: list[str], reference: str, rule: Rule) -> str:
    which = "the best single model" if names[0] == reference else "a single model"
    return f"use {names[0]} alone, {which}: by the rule {rule.name}, no cascade is surely better on this data"
