"""How a budget that runs down makes a strategy escalate less. More pressure never escalates more.

Knows strategies. Knows no budget: pressure is a number from 0 (none) to 1 (nothing is left).
"""

from dataclasses import replace

from router.strategy import Strategy

_MOST = 1000.0


def under_pressure(strategy: Strategy, pressure: float) -> Strategy:
    """The strategy as it is carried out under pressure.

    Each threshold t becomes t × (1 − pressure): a lower one accepts whatever a higher one accepts, so every query stops
    where it did, or earlier. A plan's price of quality is multiplied by ``lambda_multiplier``.
    """
    pressure = min(1.0, max(0.0, pressure))
    if pressure == 0.0:
        return strategy
    stages = tuple(
        stage if stage.threshold is None else replace(stage, threshold=stage.threshold * (1.0 - pressure))
        for stage in strategy.stages
    )
    plan = None if strategy.plan is None else strategy.plan.under(lambda_multiplier(pressure))
    release = None if strategy.release is None else strategy.release * (1.0 - pressure)
    return replace(strategy, stages=stages, plan=plan, release=release)


def lambda_multiplier(pressure: float) -> float:
    """By what to multiply the price of quality where a strategy has one: 1 without pressure, rising, never infinite."""
    pressure = min(1.0, max(0.0, pressure))
    return min(_MOST, 1.0 / (1.0 - pressure)) if pressure < 1.0 else _MOST
