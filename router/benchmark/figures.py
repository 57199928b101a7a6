"""The benchmark's figures: savings at equal quality, gains at equal cost, areas under the curve, with intervals.

Knows parts that nothing was fitted on. Knows neither how they were made nor how they are shown.

Intervals resample the queries of each set, the same ones for every method, so that differences are paired.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from router.benchmark.choice import ALONE, Goal, by_set, estimate, pooled
from router.benchmark.methods import Floats, Runs
from router.benchmark.nested import Part
from router.optimize.bootstrap import interval, resampled_means

_DRAWS = 1000
_MARGIN = 0.01
_ONE_SIDED = 1.645


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """All held queries of one set: quality and cost of the reference, the cheapest and an equal model, and all runs."""

    dataset: str
    reference: Floats
    reference_cost: Floats
    cheapest: Floats
    cheapest_cost: Floats
    equal: Floats
    equal_cost: Floats
    runs: Mapping[str, Runs]


def held_of(parts: Sequence[Part]) -> Held:
    """Put the parts of one set side by side."""

    def column(choose: Any) -> tuple[Floats, Floats]:
        at = [choose(part) for part in parts]
        quality = np.concatenate([part.singles_held.quality[i] for part, i in zip(parts, at, strict=True)])
        return quality, np.concatenate([part.singles_held.cost[i] for part, i in zip(parts, at, strict=True)])

    reference, cheapest, equal = column(lambda p: p.reference), column(_cheapest), column(_equal)
    return Held(
        dataset=parts[0].dataset,
        reference=reference[0],
        reference_cost=reference[1],
        cheapest=cheapest[0],
        cheapest_cost=cheapest[1],
        equal=equal[0],
        equal_cost=equal[1],
        runs={name: _beside([part.held[name] for part in parts]) for name in parts[0].held},
    )


def chosen_runs(
    parts: Sequence[Part], name: str, goal: Goal, caution: float, *, pool: bool
) -> tuple[dict[str, tuple[Floats, Floats]], dict[str, list[int]]]:
    """By set, (n,) quality and cost of the settings chosen without each part; and which they were.

    Parts of several sets are pooled by their place: the first of each together, and so forth.
    """
    sets = list(dict.fromkeys(part.dataset for part in parts))
    columns = {dataset: [part for part in parts if part.dataset == dataset] for dataset in sets}
    quality: dict[str, list[Floats]] = {dataset: [] for dataset in sets}
    cost: dict[str, list[Floats]] = {dataset: [] for dataset in sets}
    which: dict[str, list[int]] = {dataset: [] for dataset in sets}
    for row in zip(*columns.values(), strict=True):
        found = {part.dataset: _estimated(part, name) for part in row}
        picks = pooled(found, goal, caution) if pool else {d: by_set(e, goal, caution) for d, e in found.items()}
        for part in row:
            pick = picks[part.dataset]
            runs, at = (part.singles_held, part.reference) if pick == ALONE else (part.held[name], pick)
            quality[part.dataset].append(runs.quality[at])
            cost[part.dataset].append(runs.cost[at])
            which[part.dataset].append(pick)
    return {d: (np.concatenate(quality[d]), np.concatenate(cost[d])) for d in sets}, which


def saving(held: Sequence[Held], chosen: Mapping[str, tuple[Floats, Floats]], *, seed: int) -> dict[str, Any]:
    """Of each set and in the mean: saving, quality difference and cost against the reference, and against the cheapest
    single model that is statistically equal."""
    sets, gains, savings, equals = {}, [], [], []
    for place, one in enumerate(held):
        quality, cost = chosen[one.dataset]
        columns = np.column_stack([quality - one.reference, cost, one.reference_cost, one.equal_cost])
        drawn, mean = resampled_means(columns, draws=_DRAWS, seed=seed + place), columns.mean(axis=0)
        gains.append((mean[0], drawn[:, 0]))
        savings.append((1 - mean[1] / mean[2], 1 - drawn[:, 1] / drawn[:, 2]))
        equals.append((1 - mean[1] / mean[3], 1 - drawn[:, 1] / drawn[:, 3]))
        sets[one.dataset] = _told(quality=gains[-1], saving=savings[-1], saving_against_equal=equals[-1])
    macro = _told(quality=_mean(gains), saving=_mean(savings), saving_against_equal=_mean(equals))
    return {"macro": macro, "sets": sets}


def areas(held: Sequence[Held], names: Sequence[str], against: str, *, seed: int) -> dict[str, Any]:
    """Area under quality over log cost, from the cheapest single model's cost to the reference's, in points of quality;
    by method and set, and how far ``against`` is above each other method."""
    found: dict[str, list[tuple[float, Floats]]] = {name: [] for name in names}
    for place, one in enumerate(held):
        ends = np.column_stack([one.cheapest, one.cheapest_cost, one.reference_cost])
        columns = [ends, *(np.column_stack([one.runs[n].quality.T, one.runs[n].cost.T]) for n in names)]
        whole = np.concatenate(columns, axis=1)
        drawn = np.vstack([whole.mean(axis=0), resampled_means(whole, draws=_DRAWS // 2, seed=seed + place)])
        at = 3
        for name in names:
            size = len(one.runs[name].quality)
            area = np.array([_area(row[:3], row[at : at + size], row[at + size : at + 2 * size]) for row in drawn])
            found[name].append((float(area[0]), area[1:]))
            at += 2 * size
    told: dict[str, Any] = {}
    for name in names:
        apart = [(a[0] - b[0], a[1] - b[1]) for a, b in zip(found[against], found[name], strict=True)]
        told[name] = {
            "macro": _pair(_mean(found[name])),
            "above": None if name == against else _pair(_mean(apart)),
            "sets": {one.dataset: _pair(area) for one, area in zip(held, found[name], strict=True)},
        }
    return told


def _area(ends: Floats, quality: Floats, cost: Floats) -> float:
    low, high = np.log(ends[1]), np.log(ends[2])
    if high <= low:
        return 100 * float(ends[0])
    order = np.argsort(cost, kind="stable")
    x, y = np.log(cost[order]), quality[order]
    inside = x > low
    x, y = np.append(low, x[inside]), np.append(ends[0], y[inside])
    grid = np.linspace(low, high, 201)
    return 100 * float(np.trapezoid(np.interp(grid, x, y), grid) / (high - low))


def _estimated(part: Part, name: str) -> Any:
    single, at = part.singles_fitted, part.reference
    return estimate(part.fitted[name], single.quality[at], part.reference_belief, single.cost[at])


def _cheapest(part: Part) -> int:
    return int(part.singles_fitted.cost.mean(axis=1).argmin())


def _equal(part: Part) -> int:
    """The cheapest model shown to be at most a margin worse than the reference, on the queries that were fitted on."""
    quality, cost = part.singles_fitted.quality, part.singles_fitted.cost.mean(axis=1)
    lacks = quality - quality[part.reference]
    bound = lacks.mean(axis=1) - _ONE_SIDED * lacks.std(axis=1) / np.sqrt(quality.shape[1])
    allowed = np.flatnonzero((bound > -_MARGIN) | (np.arange(len(cost)) == part.reference))
    return int(allowed[cost[allowed].argmin()])


def _beside(runs: Sequence[Runs]) -> Runs:
    quality, cost, belief = (
        np.concatenate([getattr(run, name) for run in runs], axis=1) for name in ("quality", "cost", "belief")
    )
    return Runs(quality=quality, cost=cost, belief=belief)


def _mean(found: Sequence[tuple[float, Floats]]) -> tuple[float, Floats]:
    return float(np.mean([value for value, _ in found])), np.mean([drawn for _, drawn in found], axis=0)


def _pair(found: tuple[float, Floats]) -> dict[str, Any]:
    return {"value": found[0], "ci95": list(interval(found[1]))}


def _told(**found: tuple[float, Floats]) -> dict[str, Any]:
    return {name: _pair(pair) for name, pair in found.items()}
