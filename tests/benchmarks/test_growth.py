"""How time and memory grow with rows and models: training, the search for threshold strategies, fitting a plan.

Each case runs in a process of its own, so that its peak of memory is its own. Prints a table; writes ``growth.csv`` and
``growth.svg`` into the folder that SPILLWAY_EVIDENCE names, else into a temporary one. Asserted, by CPU time, so that a
busy machine disturbs it less: 10 million evaluations a second, and 30 s for a search over 7 models and 3,000 queries.
"""

import csv
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np
import pytest

from router.optimize.choose import choose
from router.optimize.search import Candidates, SearchSpace
from router.optimize.selection import Rule
from router.optimize.table import Floats, Outlook, ScoreTable
from scorer.training import train
from tests.benchmarks.drawing import Series, draw_series
from tests.unit.scorer import synthetic

pytestmark = [pytest.mark.evidence, pytest.mark.timeout(3600)]

SKILLS = {f"model-{index:02}": 0.5 + 0.025 * index for index in range(16)}
LEAST_EVALUATIONS, MOST_SEARCH_S = 1e7, 30.0
SEARCHED = [(750, 7), (1500, 7), (3000, 7), (6000, 7), (3000, 3), (3000, 5)]
TRAINED = [(350, 4), (1250, 4), (2500, 4), (5000, 4), (1250, 8), (1250, 16)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One case. strategies : how many were tried, 0 where none was."""

    what: str
    queries: int
    models: int
    wall_s: float
    cpu_s: float
    peak_mb: float
    strategies: int


def trained(n: int, k: int) -> int:
    """Fit a scorer to made-up sums."""
    train(synthetic.log(n, skills=dict(list(SKILLS.items())[:k])))
    return 0


def searched(n: int, k: int) -> int:
    """Every threshold strategy of the usual space, with held-out folds; scores are known already."""
    return len(Candidates.search(table_of(n, k), SearchSpace(max_models=k), parts=np.arange(n) % 5))


def planned(n: int, k: int) -> int:
    """Everything that ``optimize --kind best`` does once scores and beliefs are known: thresholds, plans, held-out."""
    return len(choose(table_of(n, k), Rule(goal="match-best"), scorer_version="v").candidates)


def table_of(n: int, k: int) -> ScoreTable:
    """Labels by skill, scores and beliefs that tell much of them, and costs that triple from model to model."""
    rng = np.random.default_rng(0)
    skill = np.linspace(0.5, 0.9, k)
    quality = (rng.random((n, k)) < skill).astype(np.float64)
    known = np.clip(0.6 * quality + 0.4 * rng.random((n, k)), 0.001, 0.999)
    cost = (rng.integers(1000, 3000, (n, k)) * 3 ** np.arange(k)).astype(np.int64)

    def beliefs(asked: tuple[int, ...]) -> Floats:
        found = np.tile(skill, (n, 1))
        found[:, list(asked)] = known[:, list(asked)]
        return found

    return ScoreTable(
        models=tuple(f"m{index}" for index in range(k)),
        query_hashes=tuple(f"{index:064x}" for index in range(n)),
        quality=quality,
        cost_nanousd=cost,
        scores=lambda model, context: known[:, model],
        outlook=lambda: Outlook(
            beliefs=beliefs,
            prompt_tokens=np.full(n, 100.0),
            completion_tokens=np.full((n, k), 200.0),
            rates=tuple((0.1 * 3**m, 0.2 * 3**m) for m in range(k)),
        ),
    )


MEASURES: dict[str, Callable[[Measured], float]] = {
    "CPU seconds": lambda one: max(one.cpu_s, 1e-3),
    "peak memory, MB": lambda one: one.peak_mb,
}
WORK: dict[str, Callable[[int, int], int]] = {"training": trained, "threshold search": searched, "all kinds": planned}


def _measure(what: str, n: int, k: int) -> Measured:
    start, cpu = time.perf_counter(), time.process_time()
    strategies = WORK[what](n, k)
    return Measured(
        what=what,
        queries=n,
        models=k,
        wall_s=time.perf_counter() - start,
        cpu_s=time.process_time() - cpu,
        peak_mb=_peak_mb(),
        strategies=strategies,
    )


def _peak_mb() -> float:
    """Of this process's own memory: what getrusage tells includes the process that it was forked from."""
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured(what: str, n: int, k: int) -> Measured:
    """In a fresh process, whose imports are part of the peak and not of the time."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure, (what, n, k))


def test_growth_with_rows_and_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases = [(what, n, k) for what in ("threshold search", "all kinds") for n, k in SEARCHED]
    found = [measured(*case) for case in [*cases, *(("training", n, k) for n, k in TRAINED)]]
    folder = Path(os.environ.get("SPILLWAY_EVIDENCE", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    _write(found, folder)
    with capsys.disabled():
        print("\n| | queries | models | wall, s | CPU, s | peak, MB | strategies | evaluations/s of CPU |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- |")
        for one in found:
            rate = f"{one.queries * one.strategies / one.cpu_s:.1e}" if one.strategies else ""
            print(
                f"| {one.what} | {one.queries:,} | {one.models} | {one.wall_s:.1f} | {one.cpu_s:.1f} "
                f"| {one.peak_mb:,.0f} | {one.strategies:,} | {rate} |"
            )
        print(f"written to {folder}", file=sys.stderr)
    (search,) = (one for one in found if (one.what, one.queries, one.models) == ("threshold search", 3000, 7))
    assert search.queries * search.strategies / search.cpu_s >= LEAST_EVALUATIONS
    assert all(one.cpu_s <= MOST_SEARCH_S for one in found if (one.queries, one.models) == (3000, 7))


def _write(found: list[Measured], folder: Path) -> None:
    with (folder / "growth.csv").open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow([field.name for field in fields(Measured)])
        lines.writerows(astuple(one) for one in found)
    series = []
    for what in WORK:
        own = [one for one in found if one.what == what]
        for by, other in (("queries", "models"), ("models", "queries")):
            fixed = max({getattr(one, other) for one in own}, key=lambda v: sum(getattr(o, other) == v for o in own))
            cases = sorted((one for one in own if getattr(one, other) == fixed), key=lambda one: getattr(one, by))
            for measure, value in MEASURES.items():
                points = tuple((getattr(one, by), value(one)) for one in cases)
                series.append(Series(name=f"{what}, {fixed:,} {other}", axis=by, measure=measure, points=points))
    draw_series(sorted(series, key=lambda one: list(MEASURES).index(one.measure)), folder / "growth.svg")
