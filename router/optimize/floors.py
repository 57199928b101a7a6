"""The series of strategies that is tested for a plan's certificate, and what any series did on a table.

Knows tables, plans and ``carry_out``. The path leads from the chosen plan to ever higher floors, towards where the
reference answers everything: at each step the same share of what it returned before the reference was asked, on the
selection's queries, is still believed in enough. A routed call is judged by nothing, so it is a path of itself alone.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from router.certificate import Kind
from router.optimize.carried import Carried, carry_out
from router.optimize.path import Trials
from router.optimize.table import ScoreTable
from router.strategy import Strategy

STEPS = 12


def raised(selection: ScoreTable, strategy: Strategy) -> list[Strategy]:
    """The plan with ever lower floors, the strictest first; the last is the strategy itself, without a certificate."""
    bare = dataclasses.replace(strategy, certificate=None)
    plan = bare.plan
    if plan is None or not plan.values:
        return [bare]
    done = carry_out(selection, bare)
    scores = done.score[_early(bare, done) & ~np.isnan(done.score)]
    if not scores.size:
        return [bare]
    shares = np.arange(1, STEPS) / STEPS
    floors = np.unique(np.maximum(np.quantile(scores, 1 - shares, method="higher"), plan.floor))[::-1]
    path = [_floored(bare, float(floor)) for floor in floors if floor > plan.floor]
    return [*path, bare]


def carried(table: ScoreTable, path: Sequence[Strategy], kind: Kind, reference: int) -> Trials:
    """Carry every step of a path out. reference : the model that a quality drop is counted against."""
    plays = [carry_out(table, strategy) for strategy in path]
    quality = np.array([play.quality for play in plays])
    return Trials(
        kind=kind,
        losses=(table.quality[:, reference] if kind == "quality_drop" else 1) - quality,
        accepted=np.array([_early(strategy, play) for strategy, play in zip(path, plays, strict=True)]),
        cost_nanousd=np.array([play.cost_nanousd for play in plays]),
    )


def _early(strategy: Strategy, play: Carried) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """(n,) whether a judged answer was returned: of a stage before the last, or before a plan's reference was asked."""
    if strategy.plan is None:
        return np.asarray(play.returned < len(strategy.stages) - 1)
    place = strategy.plan.models.index(strategy.plan.reference)
    return np.asarray(~play.called[:, place])


def _floored(strategy: Strategy, floor: float) -> Strategy:
    assert strategy.plan is not None  # noqa: S101 (the caller has looked)
    evidence = strategy.evidence
    if evidence is not None:
        note = f"its floor was raised from that of {strategy.id}, whose quality and cost these are"
        evidence = dataclasses.replace(evidence, held_out_saving=None, held_out_quality_delta=None, note=note)
    plan = dataclasses.replace(strategy.plan, floor=floor)
    return dataclasses.replace(strategy, plan=plan, evidence=evidence)
