"""The sets of two models: after the weak one's answer where answers were kept, before any call where only labels were.

Knows folds, scorers and logs. The measures are in ``pairs``.
"""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from router.benchmark.pairs import Floats, Pair, before_any_call, by_few_labels, figures, weak_and_strong
from router.optimize.table import costs
from router.pricing import PriceBook
from scorer import registry, training
from scorer.dataset import LoggedQuery
from scorer.folds import N_FOLDS, assign_folds
from scorer.scoring import Scorer

FEW = 1500
DRAWS = 20

Split = tuple[Sequence[LoggedQuery], Sequence[LoggedQuery]]
"""Queries that are fitted on, and others that are judged."""


def splits(queries: Sequence[LoggedQuery], n_folds: int = N_FOLDS) -> list[Split]:
    """Each fold once held."""
    fold = assign_folds(queries, n_folds)
    return [
        (
            [query for query, f in zip(queries, fold, strict=True) if f != held],
            [query for query, f in zip(queries, fold, strict=True) if f == held],
        )
        for held in range(n_folds)
    ]


def post_answer(parts: Sequence[Split], prices: PriceBook, *, seed: int, progress: Callable[[str], None]) -> Any:
    """The weak model answers first; what is believed of both answers then says who is wanted."""
    weak, strong = weak_and_strong(parts[0][0])
    wanted: list[Floats] = []
    held: list[LoggedQuery] = []
    for train, others in parts:
        with tempfile.TemporaryDirectory() as folder:
            registry.write(training.train(train, seed=seed), Path(folder) / "scorer")
            scorer = Scorer.load(Path(folder) / "scorer")
        beliefs = scorer.believe_log(others, [weak])
        columns = [scorer.columns.index(model) for model in (weak, strong)]
        wanted.append(beliefs[:, columns[1]] - beliefs[:, columns[0]])
        held.extend(others)
        progress(f"{held[0].dataset}: {len(wanted)} of {len(parts)} parts done")
    paid = costs(held, [weak, strong], prices).astype(np.float64)
    pair = Pair(
        wanted=np.concatenate(wanted),
        weak=np.array([query.labels[weak] for query in held]),
        strong=np.array([query.labels[strong] for query in held]),
        weak_cost=paid[:, 0],
        strong_cost=paid[:, 1],
    )
    return {"weak": weak, "strong": strong, "n": len(held), **figures(pair, seed=seed)}


def pre_call(parts: Sequence[Split], *, seed: int) -> Any:
    """With few labels (mean over draws, and over the parts) and with all (on the held queries of all parts)."""
    weak, strong = weak_and_strong(parts[0][0])
    held = [query for _, others in parts for query in others]
    wanted = np.concatenate([before_any_call(train, others, weak, strong) for train, others in parts])
    pair = Pair(
        wanted=wanted,
        weak=np.array([query.labels[weak] for query in held]),
        strong=np.array([query.labels[strong] for query in held]),
    )
    few = [by_few_labels(*part, weak, strong, n=FEW, draws=DRAWS, seed=seed) for part in parts]
    return {
        "weak": weak,
        "strong": strong,
        "n": len(held),
        "apgr_1500": {name: float(np.mean([part[name] for part in few])) for name in few[0]},
        "apgr_1500_by_part": [part["value"] for part in few],
        **figures(pair, seed=seed),
    }
