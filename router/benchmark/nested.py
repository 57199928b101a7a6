"""Fit on some queries, answer others: outer folds of a split, or one split for another. Nothing is both.

Knows the order of scorer, tables and methods, and two processes to do it in. Knows no figure.
"""

import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from router.benchmark.methods import CascadeRoute, Method, Runs, stacked
from router.benchmark.published import CascadeRouting, FrugalGPT, Routing, singles
from router.optimize.search import models_worth_trying
from router.optimize.table import ScoreTable
from router.pricing import PriceBook
from scorer import registry, training
from scorer.dataset import LoggedQuery
from scorer.folds import assign_folds
from scorer.scoring import Scorer

OURS = "cascade_route"
_MODELS = 7

METHODS: tuple[Method, ...] = (CascadeRoute(), FrugalGPT(), Routing(), CascadeRouting())
ABLATIONS: tuple[Method, ...] = (
    CascadeRoute(name="last answer, not the best seen", best_seen=False),
    CascadeRoute(name="mean costs, not this query's", cost_aware=False),
    CascadeRoute(name="beliefs only, no labels", label_share=0.0),
    CascadeRoute(name="labels only, no beliefs", label_share=1.0),
    CascadeRoute(name="at most 2 calls", depth=2),
    CascadeRoute(name="at most 3 calls", depth=3),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One fit and what came of it. ``fitted`` : each method on the queries it was fitted on; ``held`` : on others.

    reference : column of the best single model there.   singles_fitted, singles_held : every model alone.
    believed, labels : (m, n held) beliefs in answers by themselves, and their labels, of the candidate models.
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
    hashes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One part of the work."""

    dataset: str
    train: tuple[LoggedQuery, ...]
    held: tuple[LoggedQuery, ...]
    prices: Path
    seed: int
    ablations: bool


def outer_tasks(
    dataset: str, queries: Sequence[LoggedQuery], prices: Path, *, n_folds: int, seed: int, ablations: bool
) -> list[Task]:
    """One task for each outer fold; conversations stay together, and the seed deals them out."""
    order = np.random.default_rng(seed).permutation(n_folds)
    fold = order[assign_folds(queries, n_folds)] if seed else assign_folds(queries, n_folds)
    return [
        Task(
            dataset=dataset,
            train=tuple(q for q, f in zip(queries, fold, strict=True) if f != held),
            held=tuple(q for q, f in zip(queries, fold, strict=True) if f == held),
            prices=prices,
            seed=seed,
            ablations=ablations,
        )
        for held in range(n_folds)
    ]


def run(tasks: Sequence[Task], progress: Callable[[str], None], workers: int | None = None) -> list[Part]:
    """Do all tasks, the largest first, in as many processes as there are cores; in the order of ``tasks``."""
    order = sorted(range(len(tasks)), key=lambda i: -len(tasks[i].train))
    found: dict[int, Part] = {}
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with ProcessPoolExecutor(workers or os.cpu_count()) as pool:
        waiting = {pool.submit(work, tasks[i]): i for i in order}
        for done in as_completed(waiting):
            place = waiting[done]
            found[place] = done.result()
            progress(f"{tasks[place].dataset}: {len(found)} of {len(tasks)} parts done")
    return [found[i] for i in range(len(tasks))]


def work(task: Task) -> Part:
    """Train, fit every method, answer the held queries."""
    with tempfile.TemporaryDirectory() as folder:
        registry.write(training.train(task.train, seed=task.seed), Path(folder) / "scorer")
        scorer = Scorer.load(Path(folder) / "scorer")
    prices = PriceBook.load(task.prices)
    table, held = (ScoreTable.build(queries, scorer, prices) for queries in (task.train, task.held))
    methods = (*METHODS, *(ABLATIONS if task.ablations else ()))
    fits = {method.name: method.fit(table) for method in methods}
    reference = table.reference()
    candidates = models_worth_trying(table, _MODELS)
    return Part(
        dataset=task.dataset,
        reference=reference,
        models=table.models,
        fitted={name: fit.tried for name, fit in fits.items()},
        held={name: fit.answer(held) for name, fit in fits.items()},
        singles_fitted=stacked([single.run(table) for single in singles(table)]),
        singles_held=stacked([single.run(held) for single in singles(held)]),
        reference_belief=table.beliefs((reference,))[:, reference],
        believed=np.array([held.beliefs((model,))[:, model] for model in candidates]),
        labels=held.quality[:, list(candidates)].T,
        hashes=held.query_hashes,
    )
