"""What sums over a partitioned log say of a strategy: quality, cost and saving, with their standard errors.

Knows sums and strategies. Knows no file.

Intervals are normal, from exact sums of squares: with the many queries of such logs they are what resampling gives.
"""

from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any

from router.errors import StrategyError
from router.offline.playing import RETURNED, SINGLE, named
from router.offline.sums import Sums
from router.replay import Baseline, PlayedStage
from router.strategy import Strategy
from scorer.partitioned.layout import NANO

_USD_PER_1K = 1_000_000  # nano-USD per query in a US dollar per thousand queries
_Z95 = 1.959963984540054
Interval = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderReport:
    """What a replay of a folder found; see ``router.replay.ReplayReport``. Intervals hold 95 %, paired by query.

    left_out : queries that lack a label, a price or a score of a model that the strategy may ask, or of its reference.
    singles : every model alone, over all its answers.
    """

    strategy: dict[str, str]
    n_queries: int
    left_out: int
    n_rows: int
    quality: float
    quality_nano: int
    cost_usd_per_1k: float
    cost_nanousd: int
    reference: Baseline
    reference_cost_nanousd: int
    saving: float | None
    saving_ci95: Interval | None
    quality_delta: float
    quality_delta_ci95: Interval
    stages: tuple[PlayedStage, ...]
    singles: tuple[Baseline, ...]
    chosen_on: int
    warnings: tuple[str, ...]

    def to_document(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def report(strategy: Strategy, sums: Sums, *, queries: int, rows: int) -> FolderReport:
    """Raises StrategyError where no query is complete. queries, rows : of the files that were asked."""
    every = [sums.of("returned", stage, size=len(RETURNED)) for stage in range(len(strategy.stages))]
    told = named(tuple(map(sum, zip(*every, strict=True))), RETURNED)
    n = told["queries"]
    if n == 0:
        raise StrategyError(
            f"none of {queries} queries has all labels, costs and scores that strategy {strategy.id} needs"
        )
    quality, base = told["quality"] / n / NANO, told["reference_quality"] / n / NANO
    spent, base_spent, seen = told["cost"], told["reference_cost"], sums.of("seen")[0]
    saving = 1 - spent / base_spent if base_spent else None
    delta = (told["quality"] - told["reference_quality"]) / n / NANO
    delta_se = _standard_error(told["gain_squared"] / n / NANO**2, delta, n)
    return FolderReport(
        strategy={"id": strategy.id, "kind": strategy.kind},
        n_queries=n,
        left_out=queries - n,
        n_rows=rows,
        quality=quality,
        quality_nano=told["quality"],
        cost_usd_per_1k=spent / n / _USD_PER_1K,
        cost_nanousd=spent,
        reference=Baseline(model=strategy.reference_model, quality=base, cost_usd_per_1k=base_spent / n / _USD_PER_1K),
        reference_cost_nanousd=base_spent,
        saving=saving,
        saving_ci95=None if saving is None else _around(saving, _saving_error(told, n)),
        quality_delta=delta,
        quality_delta_ci95=_around(delta, delta_se),
        stages=_stages(strategy, sums),
        singles=_singles(sums),
        chosen_on=seen,
        warnings=_warnings(strategy, n, queries - n, seen),
    )


def _stages(strategy: Strategy, sums: Sums) -> tuple[PlayedStage, ...]:
    returned = [sums.of("returned", stage, size=len(RETURNED))[0] for stage in range(len(strategy.stages))]
    told = strategy.plan is not None or strategy.entry is not None  # not every stage before the last was asked
    return tuple(
        PlayedStage(
            model=stage.model,
            threshold=stage.threshold,
            calls=sums.of("called", i)[0] if told else sum(returned[i:]),
            accepted=returned[i],
        )
        for i, stage in enumerate(strategy.stages)
    )


def _singles(sums: Sums) -> tuple[Baseline, ...]:
    """Cheapest first; a model of which nothing is labelled or priced is not among them."""
    found = []
    for key in sums.values:
        if key[0] == "single":
            told = named(sums.values[key], SINGLE)
            if told["labelled"] and told["priced"]:
                quality, cost = told["quality"] / told["labelled"] / NANO, told["cost"] / told["priced"] / _USD_PER_1K
                found.append(Baseline(model=str(key[1]), quality=quality, cost_usd_per_1k=cost))
    return tuple(sorted(found, key=lambda one: (one.cost_usd_per_1k, str(one.model))))


def _standard_error(mean_of_squares: float, mean: float, n: int) -> float:
    return sqrt(max(mean_of_squares - mean * mean, 0.0) / n)


def _saving_error(told: "dict[str, int] | Any", n: int) -> float:
    """Of 1 - cost / reference cost, both summed over the same queries: the delta method."""
    ratio = told["cost"] / told["reference_cost"]
    mean = told["reference_cost"] / n
    squares = told["cost_squared"] - 2 * ratio * told["cost_by_reference_cost"]
    squares += ratio * ratio * told["reference_cost_squared"]
    return sqrt(max(squares / n, 0.0) / n) / mean


def _around(value: float, error: float) -> Interval:
    return value - _Z95 * error, value + _Z95 * error


def _warnings(strategy: Strategy, n: int, left_out: int, seen: int) -> tuple[str, ...]:
    warnings = []
    if left_out:
        warnings.append(f"{left_out} queries are left out: they lack a label, a price or a score of a model needed")
    if seen:
        warnings.append(
            f"{seen} of {n} queries are among those that strategy {strategy.id} was chosen on: "
            "its quality and saving are flattered there"
        )
    return tuple(warnings)
