"""From parts to the whole report: every figure as plain values.

Knows which figures there are. Knows no terminal.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router.benchmark.choice import ALONE, CAUTION, levels
from router.benchmark.figures import areas, chosen_runs, held_of, saving
from router.benchmark.nested import OURS, Part
from router.optimize.bootstrap import interval
from scorer.evaluation import excess_calibration_error, expected_calibration_error

_RESAMPLED = 60


def report_of(parts: Sequence[Part], *, seed: int) -> dict[str, Any]:
    """All figures of the sets of several models; where parts are of two kinds, out of fold and final, also of each."""
    report = _report(parts, seed)
    if len({part.final for part in parts}) > 1:
        report["apart"] = {
            "out of fold": _report([part for part in parts if not part.final], seed),
            "judged once": _report([part for part in parts if part.final], seed),
        }
    return report


def _report(parts: Sequence[Part], seed: int) -> dict[str, Any]:
    sets = list(dict.fromkeys(part.dataset for part in parts))
    held = [held_of([part for part in parts if part.dataset == dataset]) for dataset in sets]
    names = list(parts[0].held)
    return {
        "queries": {one.dataset: len(one.reference) for one in held},
        "references": {one: _references([part for part in parts if part.dataset == one]) for one in sets},
        "match": {
            name: {way: _chosen(parts, held, name, "match", CAUTION, way, seed) for way in ("pooled", "by set")}
            for name in names
        },
        "most": {
            name: {way: _chosen(parts, held, name, "most", 0.0, way, seed) for way in ("pooled", "by set")}
            for name in names
        },
        "caution": {
            str(level): {way: _chosen(parts, held, OURS, "match", level, way, seed) for way in ("pooled", "by set")}
            for level in levels()
        },
        "areas": areas(held, names, OURS, seed=seed),
        "calibration": calibrations([[p for p in parts if p.dataset == one] for one in sets], seed),
    }


def _chosen(
    parts: Sequence[Part], held: Any, name: str, goal: Any, caution: float, way: str, seed: int
) -> dict[str, Any]:
    runs, which = chosen_runs(parts, name, goal, caution, pool=way == "pooled")
    alone = {dataset: sum(pick == ALONE for pick in picks) for dataset, picks in which.items()}
    return {**saving(held, runs, seed=seed), "reference_alone": alone}


def _references(parts: Sequence[Part]) -> dict[str, Any]:
    named = [part.models[part.reference] for part in parts]
    quality = np.concatenate([part.singles_held.quality[part.reference] for part in parts])
    cost = np.concatenate([part.singles_held.cost[part.reference] for part in parts])
    best = np.concatenate([part.singles_held.quality.max(axis=0) for part in parts])
    cheapest = np.concatenate([_oracle_cost(part) for part in parts])
    return {
        "models": sorted(set(named)),
        "quality": float(quality.mean()),
        "usd_per_1k": float(cost.mean()) / 1e6,
        "oracle_quality": float(best.mean()),
        "oracle_usd_per_1k": float(cheapest.mean()) / 1e6,
    }


def _oracle_cost(part: Part) -> Any:
    quality, cost = part.singles_held.quality, part.singles_held.cost
    return np.where(quality == quality.max(axis=0), cost, np.inf).min(axis=0)


def calibrations(sets: Sequence[Sequence[Part]], seed: int) -> dict[str, Any]:
    """Of each set and in the mean."""
    found = {parts[0].dataset: _calibrated(parts, seed + place) for place, parts in enumerate(sets)}
    eces, values, draws = zip(*found.values(), strict=True)
    mean = (float(np.mean(eces)), float(np.mean(values)), np.mean(draws, axis=0))
    return {name: _told(*one) for name, one in {**found, "macro": mean}.items()}


def _told(ece: float, value: float, drawn: NDArray[np.float64]) -> dict[str, Any]:
    return {"ece": ece, "excess": {"value": value, "ci95": list(interval(value + drawn - drawn.mean()))}}


def _calibrated(parts: Sequence[Part], seed: int) -> tuple[float, float, NDArray[np.float64]]:
    """ECE, what of it is in excess, and draws of that: of beliefs in single answers of the candidate models.

    Intervals resample queries, and of every draw the same answers are given to the perfect scorer: an answer that was
    drawn twice has one label there too. A gap being an absolute value, chance on top of chance adds less than chance
    alone; so draws tell the interval's width, and it is laid around the value found.
    """
    believed = np.concatenate([part.believed.ravel() for part in parts])
    labels = np.concatenate([part.labels.ravel() for part in parts])
    query = np.concatenate([np.tile(np.arange(part.believed.shape[1]), len(part.believed)) for part in parts])
    fold = np.repeat(np.arange(len(parts)), [part.believed.size for part in parts])
    units = np.unique(np.column_stack([fold, query]), axis=0, return_inverse=True)[1].reshape(-1)
    members = np.argsort(units, kind="stable")
    starts = np.searchsorted(units[members], np.arange(units.max() + 2))
    random = np.random.default_rng(seed)
    drawn = []
    for _ in range(_RESAMPLED):
        picks = random.integers(0, units.max() + 1, units.max() + 1)
        rows = np.concatenate([members[starts[pick] : starts[pick + 1]] for pick in picks])
        drawn.append(excess_calibration_error(believed[rows], labels[rows], rows, seed=seed))
    value = excess_calibration_error(believed, labels, seed=seed)
    return expected_calibration_error(believed, labels), value, np.array(drawn)
