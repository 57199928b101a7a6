"""Fit on some queries, answer others: outer folds of a split, or one split for another. Nothing is both.

Knows the order of scorer, tables and methods, and two processes to do it in. Knows no figure.
"""

import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from router.benchmark.methods import MODELS, CascadeRoute, Method, Runs, stacked
from router.benchmark.published import CascadeRouting, FrugalGPT, RandomMix, Routing, singles
from router.optimize.search import models_worth_trying
from router.optimize.table import ScoreTable
from router.pricing import PriceBook
from scorer import registry, training
from scorer.dataset import LoggedQuery
from scorer.folds import assign_folds
from scorer.scoring import Scorer

OURS = "cascade_route"
METHODS: tuple[Method, ...] = (CascadeRoute(), FrugalGPT(), Routing(), CascadeRouting(), RandomMix())
ABLATIONS: tuple[Method, ...] = (
    CascadeRoute(name="last answer, not the best seen", best_seen=False),
    CascadeRoute(name="mean costs, not this query's", cost_aware=False),
    CascadeRoute(name="beliefs only, no labels", label_share=0.0),
    CascadeRoute(name="labels only, no beliefs", label_share=1.0),
    CascadeRoute(name="E[largest belief], nothing fitted", trust=0.0),
    CascadeRoute(name="E[gain of the selected answer], all fitted", trust=1.0),
    CascadeRoute(name="at most 2 calls", depth=2),
    CascadeRoute(name="at most 3 calls", depth=3),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One fit and what came of it. ``fitted`` : each method on the queries it was fitted on; ``held`` : on others.

    reference : column of the best single model there.   singles_fitted, singles_held : every model alone.
    believed, labels : (m, n held) beliefs in answers by themselves, and their labels, of the candidate models.
    final : whether the held queries are of another split than those that were fitted on.
    """

    dataset: str
    reference: int
    models: tuple[str, ...]
    fitted: dict[str, Runs]
    held: dict[str, Runs]
    singles_fitted: Runs
    singles_held: Runs
    reference_belief: NDArray[np.float64]
    believed: NDArray[np.float64]
    labels: NDArray[np.float64]
    final: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One piece of the work: fit on ``train`` and answer ``held``.

    folds : of each query of ``train``, for parts out of fold with one scorer for all of them: scores are out of fold,
    and each fold in turn is left out of everything that is chosen on those scores. ``held``, where there are any, is
    then answered besides. None: only ``held`` is answered.   final : whether ``held`` is of another split.
    """

    dataset: str
    train: tuple[LoggedQuery, ...]
    held: tuple[LoggedQuery, ...]
    prices: Path
    seed: int
    ablations: bool
    folds: tuple[int, ...] | None = None
    final: bool = False


def outer_tasks(
    dataset: str,
    queries: Sequence[LoggedQuery],
    prices: Path,
    *,
    n_folds: int,
    seed: int,
    ablations: bool,
    one: bool,
    final: Sequence[LoggedQuery] = (),
) -> list[Task]:
    """One task for each outer fold, or with ``one`` scorer a single task; conversations stay together.

    final : queries of another split, that a fit on all of ``queries`` answers last; none where there are none.
    """
    dealt = np.random.default_rng(seed).permutation(n_folds) if seed else np.arange(n_folds)
    fold = dealt[assign_folds(queries, n_folds)]

    def task(
        train: Sequence[LoggedQuery], held: Sequence[LoggedQuery], folds: tuple[int, ...] | None, last: bool
    ) -> Task:
        return Task(
            dataset=dataset,
            train=tuple(train),
            held=tuple(held),
            prices=prices,
            seed=seed,
            ablations=ablations,
            folds=folds,
            final=last,
        )

    if one:
        return [task(queries, final, tuple(fold.tolist()), bool(final))]
    outer = [
        task(
            [query for query, f in zip(queries, fold, strict=True) if f != held],
            [query for query, f in zip(queries, fold, strict=True) if f == held],
            None,
            False,
        )
        for held in range(n_folds)
    ]
    return [*outer, task(queries, final, None, True)] if final else outer


def run(tasks: Sequence[Task], progress: Callable[[str], None], workers: int | None = None) -> list[Part]:
    """Do all tasks, the largest first, in as many processes as there are cores; parts in the order of ``tasks``."""
    order = sorted(range(len(tasks)), key=lambda i: -len(tasks[i].train))
    found: dict[int, list[Part]] = {}
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with ProcessPoolExecutor(workers or os.cpu_count()) as pool:
        waiting = {pool.submit(work, tasks[i]): i for i in order}
        for done in as_completed(waiting):
            place = waiting[done]
            found[place] = done.result()
            progress(f"{tasks[place].dataset}: {len(found)} of {len(tasks)} tasks done")
    return [part for i in range(len(tasks)) for part in found[i]]


def work(task: Task) -> list[Part]:
    """Train a scorer, fit every method, answer the held queries."""
    with tempfile.TemporaryDirectory() as folder:
        registry.write(training.train(task.train, seed=task.seed), Path(folder) / "scorer")
        scorer = Scorer.load(Path(folder) / "scorer")
    prices = PriceBook.load(task.prices)
    table = ScoreTable.build(task.train, scorer, prices)
    methods = (*METHODS, *(ABLATIONS if task.ablations else ()))
    folds = np.array(task.folds or ())
    parts = [
        part_of(task.dataset, table.take(np.flatnonzero(folds != f)), table.take(np.flatnonzero(folds == f)), methods)
        for f in np.unique(folds)
    ]
    if task.held:
        held = ScoreTable.build(task.held, scorer, prices)
        parts.append(replace(part_of(task.dataset, table, held, methods), final=task.final))
    return parts


def part_of(dataset: str, table: ScoreTable, held: ScoreTable, methods: Sequence[Method]) -> Part:
    """Fit every method on one table, answer the other's queries."""
    fits = {method.name: method.fit(table) for method in methods}
    reference, candidates = table.reference(), models_worth_trying(table, MODELS)
    return Part(
        dataset=dataset,
        reference=reference,
        models=table.models,
        fitted={name: fit.tried for name, fit in fits.items()},
        held={name: fit.answer(held) for name, fit in fits.items()},
        singles_fitted=stacked([single.run(table) for single in singles(table)]),
        singles_held=stacked([single.run(held) for single in singles(held)]),
        reference_belief=table.beliefs((reference,))[:, reference],
        believed=np.array([held.beliefs((model,))[:, model] for model in candidates]),
        labels=held.quality[:, list(candidates)].T,
    )
