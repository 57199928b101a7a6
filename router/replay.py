"""Plays a strategy on logged answers: what the live cascade would have returned and spent, against its reference.

Knows logs, prices, scores and strategies. Knows no upstream: nothing is called.

Each query takes the way that it would take live: the same models in the same order with the same scores, each call
priced exactly. On queries that the scorer was trained on, its out-of-fold scores are used; the report says so.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router.optimize.bootstrap import DRAWS, Interval, interval, resampled_means
from router.optimize.carried import Carried, carry_out
from router.optimize.columns import columns
from router.optimize.singles import MARGIN, cheapest_equal
from router.optimize.table import LogScorer, ScoreTable
from router.pricing import PriceBook
from router.strategy import Strategy
from scorer.dataset import LoggedQuery

_USD_PER_1K = 1_000_000  # nano-USD per query in a US dollar per thousand queries


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """Something to compare with. ``model`` is None where it is not one model."""

    model: str | None
    quality: float
    cost_usd_per_1k: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayedStage:
    """How often a stage was called and how often its answer was returned."""

    model: str
    threshold: float | None
    calls: int
    accepted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayReport:
    """What a replay found. Savings are shares of the reference's cost, None where that is zero; intervals hold 95 %.

    random : calls one of the single models by chance, with odds that make it cost the same; the best such mix.
    oracle : calls the cheapest of the models that answer a query best; no scorer can do better with one call.
    cheapest_equal : the cheapest single model shown here to be at most ``MARGIN`` worse than the reference: the lower
        95 % bound of its quality above the reference's is not below that. No difference seen is not enough.
    saving_against_equal : share of *its* cost.
    unlike : how many of the queries are unlike the scorer's training queries at the usual rate: live, the safe model
        would answer these, which is not played here.
    trained_on, chosen_on : how many of the queries the scorer was trained on, the strategy was chosen on.
    """

    strategy: dict[str, str]
    n_queries: int
    quality: float
    cost_usd_per_1k: float
    cost_nanousd: int
    reference: Baseline
    reference_cost_nanousd: int
    saving: float | None
    saving_ci95: Interval | None
    quality_delta: float
    quality_delta_ci95: Interval
    stages: tuple[PlayedStage, ...]
    cheapest_equal: Baseline
    saving_against_equal: float | None
    random: Baseline
    oracle: Baseline
    trained_on: int
    chosen_on: int
    unlike: int
    warnings: tuple[str, ...]

    def to_document(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def replay(
    strategy: Strategy,
    scorer: LogScorer | None,
    queries: Sequence[LoggedQuery],
    prices: PriceBook,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> ReplayReport:
    """Play ``strategy`` on every query. scorer : may be None for a single model.

    Raises StrategyError if the strategy does not fit the scorer, the log or the prices, ScorerError from the scorer.
    """
    strategy.check()
    strategy.check_scorer(None if scorer is None else scorer.version)
    table = ScoreTable.build(queries, scorer, prices, only_scored=False)
    _, reference = columns(strategy, table)
    played = carry_out(table, strategy)
    base_cost = table.cost_nanousd[:, reference]
    gains = np.column_stack([played.quality, table.quality]) - table.quality[:, [reference]]
    drawn = resampled_means(np.column_stack([played.cost_nanousd, base_cost, gains]), draws=draws, seed=seed)
    equal = cheapest_equal(table, reference, drawn[:, 3:])
    spent, base_spent = int(played.cost_nanousd.sum()), int(base_cost.sum())
    trained_on = 0 if scorer is None else sum(scorer.trained_on(query_hash) for query_hash in table.query_hashes)
    unlike = 0 if scorer is None or not strategy.needs_scorer else int(scorer.doubts_log(queries).sum())
    chosen_on = sum(strategy.chosen_on(query_hash) for query_hash in table.query_hashes)
    return ReplayReport(
        strategy={"id": strategy.id, "kind": strategy.kind},
        n_queries=table.n,
        quality=float(played.quality.mean()),
        cost_usd_per_1k=spent / table.n / _USD_PER_1K,
        cost_nanousd=spent,
        reference=_single(table, reference),
        reference_cost_nanousd=base_spent,
        saving=_saving(spent, base_spent),
        saving_ci95=interval(1 - drawn[:, 0] / drawn[:, 1]) if drawn[:, 1].all() else None,
        quality_delta=float(gains[:, 0].mean()),
        quality_delta_ci95=interval(drawn[:, 2]),
        stages=_stages(strategy, played),
        cheapest_equal=_single(table, equal),
        saving_against_equal=_saving(spent, int(table.cost_nanousd[:, equal].sum())),
        random=_random(table, spent / table.n),
        oracle=_oracle(table),
        trained_on=trained_on,
        chosen_on=chosen_on,
        unlike=unlike,
        warnings=(
            *_warnings(strategy, table.n, trained_on, chosen_on, unlike),
            *_no_better(table, equal, played),
        ),
    )


def _stages(strategy: Strategy, played: Carried) -> tuple[PlayedStage, ...]:
    return tuple(
        PlayedStage(
            model=stage.model,
            threshold=stage.threshold,
            calls=int(played.called[:, i].sum()),
            accepted=int((played.returned == i).sum()),
        )
        for i, stage in enumerate(strategy.stages)
    )


def _single(table: ScoreTable, model: int) -> Baseline:
    spent = int(table.cost_nanousd[:, model].sum())
    quality = float(table.quality[:, model].mean())
    return Baseline(model=table.models[model], quality=quality, cost_usd_per_1k=spent / table.n / _USD_PER_1K)


def _saving(spent: int, base_spent: int) -> float | None:
    return 1 - spent / base_spent if base_spent else None


def _no_better(table: ScoreTable, equal: int, played: Carried) -> list[str]:
    cost, quality = int(table.cost_nanousd[:, equal].sum()), float(table.quality[:, equal].mean())
    alone = not played.called.sum() > table.n and int(played.cost_nanousd.sum()) == cost
    if alone or int(played.cost_nanousd.sum()) < cost or float(played.quality.mean()) > quality:
        return []
    return [
        f"it is no better here than {table.models[equal]} alone, the cheapest model that is at most {MARGIN:.0%} worse "
        "than the reference, surely: it costs no less and answers no better"
    ]


def _random(table: ScoreTable, cost: float) -> Baseline:
    """The best mix of two single models that costs as much: a point on the upper hull of their (cost, quality)."""
    x, y = table.cost_nanousd.mean(axis=0), table.quality.mean(axis=0)
    cost = float(np.clip(cost, x.min(), x.max()))
    best = float(y[x <= cost].max())
    for cheap in np.flatnonzero(x <= cost):
        for dear in np.flatnonzero(x > cost):
            share = (cost - x[cheap]) / (x[dear] - x[cheap])
            best = max(best, float(y[cheap] + share * (y[dear] - y[cheap])))
    return Baseline(model=None, quality=best, cost_usd_per_1k=cost / _USD_PER_1K)


def _oracle(table: ScoreTable) -> Baseline:
    best: NDArray[np.bool_] = table.quality == table.quality.max(axis=1, keepdims=True)
    paid = np.where(best, table.cost_nanousd, np.iinfo(np.int64).max).min(axis=1)
    quality = float(table.quality.max(axis=1).mean())
    return Baseline(model=None, quality=quality, cost_usd_per_1k=int(paid.sum()) / table.n / _USD_PER_1K)


def _warnings(strategy: Strategy, n: int, trained_on: int, chosen_on: int, unlike: int) -> list[str]:
    warnings = []
    if chosen_on:
        warnings.append(
            f"{chosen_on} of {n} queries are among those that strategy {strategy.id} was chosen on: "
            "its quality and saving are flattered there"
        )
    if unlike and strategy.needs_scorer:
        warnings.append(
            f"{unlike} of {n} queries ({unlike / n:.1%}) are unlike those that the scorer was trained on: live, the "
            "safe model answers such, unless unlike_rate is 0; here the strategy is played on them"
        )
    if trained_on and strategy.needs_scorer:
        warnings.append(
            f"{trained_on} of {n} queries are among those that the scorer was trained on: "
            "their scores are out of fold, each from a part of the scorer that did not see the query"
        )
    return warnings
