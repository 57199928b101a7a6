"""From a scored folder and a rule to a strategy with its evidence: two passes over the files, then the usual choice.

Knows the order of the steps. Threshold cascades only: plans are fitted on tables, not on sums.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from router.errors import StrategyError
from router.offline.running import Runner
from router.offline.searching import BINS, Searched, Swept, candidates, thresholds
from router.offline.shard import asked_of
from router.offline.sums import Sums
from router.optimize.search import Estimates, Progress, SearchSpace, Sweeps, chains
from router.optimize.selection import HeldOut, Rule, cross_validate, select
from router.optimize.simulate import axes
from router.strategy import Evidence, Stage, Strategy
from scorer.partitioned.layout import FOLDS, Manifest, engine, working_on

_USD_PER_1K = 1_000_000  # nano-USD per query in a US dollar per thousand queries
MOST_SEEN = 200_000
"""Queries whose marks a strategy's file keeps. Of more there are none, and its note says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderChoice:
    """A strategy and what it was chosen among. n_queries : complete ones; left_out : the others of the split."""

    strategy: Strategy
    tried: Sweeps
    estimates: Estimates
    index: int
    held_out: HeldOut | None
    n_queries: int
    left_out: int


def choose_on_folder(
    folder: Path,
    manifest: Manifest,
    rule: Rule,
    runner: Runner,
    *,
    split: str | None = None,
    space: SearchSpace | None = None,
    progress: Progress | None = None,
) -> FolderChoice:
    """Search what the folder's scores allow, choose by the rule. Raises StrategyError if nothing meets it."""
    space = space or SearchSpace(depth=3)
    searched = Searched.of(manifest, space.depth)
    if len(searched.models) > space.max_models:
        said = (
            f"{len(searched.models)} models are scored, at most {space.max_models} are searched: score fewer (--models)"
        )
        raise StrategyError(said)
    surveyed = asked_of(folder, manifest, searched, runner, split=split, progress=progress)
    swept = to_sweep(searched, surveyed, space)
    sums = asked_of(folder, manifest, swept, runner, split=split, progress=progress)
    tried = candidates(swept, surveyed, sums)
    estimates = tried.estimates()
    index, held_out = select(rule, estimates), cross_validate(rule, tried)
    n = int(tried.part_sizes.sum())
    digest, seen = _seen(folder, manifest, split)
    chain, levels = tried.stages(index)
    reference = searched.models[swept.reference]
    evidence = Evidence(
        rule=rule.name,
        data_sha256=digest,
        n_queries=n,
        quality=float(estimates.quality[index]),
        cost_usd_per_1k=float(estimates.cost[index]) / _USD_PER_1K,
        reference_quality=estimates.reference_quality,
        reference_cost_usd_per_1k=estimates.reference_cost / _USD_PER_1K,
        seen=seen or frozenset(),
        held_out_saving=None if held_out is None else held_out.saving,
        held_out_quality_delta=None if held_out is None else held_out.quality_delta,
        note=_note(len(chain) == 1, searched.models[chain[0]], rule, kept=seen is not None, split=split),
    )
    strategy = Strategy.of(
        [Stage(model=searched.models[m], threshold=t) for m, t in zip(chain, [*levels, None], strict=True)],
        reference_model=reference,
        safe_model=reference,
        scorer_version=manifest.scorer_version,
        evidence=evidence,
    )
    return FolderChoice(
        strategy=strategy,
        tried=tried,
        estimates=estimates,
        index=index,
        held_out=held_out,
        n_queries=n,
        left_out=sum(part.queries for part in manifest.of_split(split)) - n,
    )


def to_sweep(searched: Searched, surveyed: Sums, space: SearchSpace) -> Swept:
    """The chains that the scores allow, cheap to dear, and thresholds at the scores' quantiles."""
    means = []
    for model in searched.models:
        n, quality, cost = map(sum, zip(*(surveyed.of("model", model, f, size=3) for f in range(FOLDS)), strict=True))
        if n == 0:
            raise StrategyError("no query has all labels, costs and scores of the models that were scored")
        means.append((quality, cost))
    reference = min(range(len(means)), key=lambda place: (-means[place][0], means[place][1]))
    cheapest_first = tuple(sorted(range(len(means)), key=lambda place: (means[place][1], place)))
    names = searched.models

    def judged(chain: tuple[int, ...]) -> list[tuple[str, tuple[str, ...]]]:
        return [(names[m], tuple(sorted(names[other] for other in chain[:i]))) for i, m in enumerate(chain[:-1])]

    tried = tuple(c for c in chains(cheapest_first, space.depth) if all(key in searched.scores for key in judged(c)))
    grids = []
    for chain in tried:
        size = space.grid_sizes[len(chain) > 2]
        counted = [_histogram(surveyed, searched.name(model, context)) for model, context in judged(chain)]
        of = axes(len(chain))
        each = (
            thresholds([h for h, a in zip(counted, of, strict=True) if a == axis], size) for axis in sorted(set(of))
        )
        grids.append(tuple(tuple(levels.tolist()) for levels in each))
    return Swept(searched=searched, reference=reference, chains=tried, grids=tuple(grids))


def _histogram(surveyed: Sums, name: str) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    return np.array([surveyed.of("score", name, place)[0] for place in range(BINS + 1)], dtype=np.int64)


def _seen(folder: Path, manifest: Manifest, split: str | None) -> tuple[str, frozenset[str] | None]:
    """A digest of what was searched; and of not too many queries their marks."""
    parts = manifest.of_split(split)
    if sum(part.queries for part in parts) > MOST_SEEN:
        return hashlib.sha256("\n".join(sorted(part.sha256 for part in parts)).encode()).hexdigest(), None
    files = [str(folder / part.path) for part in parts]
    with working_on(folder), engine().connect(":memory:") as database:
        found = database.execute(
            "SELECT DISTINCT hash FROM read_parquet($1, hive_partitioning = false)", [files]
        ).fetchall()
    return Evidence.of_queries(row[0] for row in found)


def _note(alone: bool, model: str, rule: Rule, *, kept: bool, split: str | None) -> str:
    notes = []
    if alone:
        notes.append(f"use {model} alone: by the rule {rule.name}, no cascade is surely better on this data")
    if not kept:
        which = "the whole folder" if split is None else f"the folder's split {split!r}"
        notes.append(f"chosen on {which}, too many queries to keep their marks: replay it on another")
    return "; ".join(notes)
