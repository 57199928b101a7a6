"""What the served part of the traffic came to, against the models alone on the same questions.

Knows how to add up and how sure a difference is. Knows no table and no colour.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from gateway.demo.traffic import Exchange
from router.strategy import Strategy

CASCADE = "the cascade (auto)"
_Z95 = 1.959964


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One way of answering the questions. cost_usd : of all of them together."""

    name: str
    questions: int
    right: int
    cost_usd: Decimal

    @property
    def quality(self) -> float:
        return self.right / self.questions if self.questions else math.nan

    @property
    def usd_per_1k(self) -> Decimal:
        return self.cost_usd / self.questions * 1000 if self.questions else Decimal("NaN")

    def saving(self, other: "Side") -> float:
        """Which share of the other's cost this side does without; negative where it costs more."""
        return float(1 - self.cost_usd / other.cost_usd) if other.cost_usd else math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """How a stage of the strategy fared on new questions. ``right`` counts among the accepted."""

    model: str
    threshold: float | None
    asked: int
    accepted: int
    right: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The served part.

    alone : every model by itself, in order of size.   cascade : the strategy, on the same questions.
    reference : what the strategy was chosen to match.
    difference, difference_ci95 : cascade minus reference in quality, paired by question, with a 95 % interval.
    repeats, hits : questions asked once more, and those of them that the cache answered.
    with_repeats, reference_with_repeats : what all requests, repeats included, cost, and would have cost.
    """

    alone: tuple[Side, ...]
    cascade: Side
    reference: Side
    difference: float
    difference_ci95: tuple[float, float]
    tiers: tuple[Tier, ...]
    repeats: int
    hits: int
    with_repeats: Side
    reference_with_repeats: Side


def compare(served: Sequence[Exchange], alone: Mapping[str, Sequence[Exchange]], strategy: Strategy) -> Comparison:
    """served : the cascade's exchanges, questions asked again included.   alone : each model's, one per question."""
    seen: set[str] = set()
    first: list[Exchange] = []
    for exchange in served:
        if exchange.task.id not in seen:
            first.append(exchange)
        seen.add(exchange.task.id)
    sides = {model: side(f"always {model}", exchanges) for model, exchanges in alone.items()}
    of_reference = {exchange.task.id: exchange for exchange in alone[strategy.reference_model]}
    gains = [exchange.right - of_reference[exchange.task.id].right for exchange in first]
    difference, ci95 = _mean_ci95(gains)
    return Comparison(
        alone=tuple(sides.values()),
        cascade=side(CASCADE, first),
        reference=sides[strategy.reference_model],
        difference=difference,
        difference_ci95=ci95,
        tiers=_tiers(first, strategy),
        repeats=len(served) - len(first),
        hits=sum(exchange.cache == "HIT" for exchange in served),
        with_repeats=side(CASCADE, served),
        reference_with_repeats=side(
            f"always {strategy.reference_model}", [of_reference[exchange.task.id] for exchange in served]
        ),
    )


def side(name: str, exchanges: Sequence[Exchange]) -> Side:
    """Added up; an unknown cost is an error, as the demo's prices are all known."""
    costs = [exchange.cost_usd for exchange in exchanges]
    known = [cost for cost in costs if cost is not None]
    if len(known) < len(costs):
        raise ValueError(f"{name}: {len(costs) - len(known)} answers came without a cost")
    right = sum(exchange.right for exchange in exchanges)
    return Side(name=name, questions=len(costs), right=right, cost_usd=sum(known, Decimal(0)))


def _tiers(exchanges: Sequence[Exchange], strategy: Strategy) -> tuple[Tier, ...]:
    tiers = []
    for number, stage in enumerate(strategy.stages, start=1):
        accepted = [exchange for exchange in exchanges if exchange.tier == number]
        tiers.append(
            Tier(
                model=stage.model,
                threshold=stage.threshold,
                asked=sum(exchange.tier is not None and exchange.tier >= number for exchange in exchanges),
                accepted=len(accepted),
                right=sum(exchange.right for exchange in accepted),
            )
        )
    return tuple(tiers)


def _mean_ci95(values: Sequence[int]) -> tuple[float, tuple[float, float]]:
    n = len(values)
    mean = sum(values) / n if n else math.nan
    variance = sum((value - mean) ** 2 for value in values) / (n - 1) if n > 1 else math.nan
    margin = _Z95 * math.sqrt(variance / n) if n > 1 else math.nan
    return mean, (mean - margin, mean + margin)
