"""How a budget that runs down makes a strategy escalate less. More pressure never escalates more.

Knows strategies. Knows no budget: pressure is a number from 0 (none) to 1 (nothing is left).
"""

from dataclasses import replace

from router.strategy import Strategy

_MOST = 1000.0


def under_pressure(strategy: Strategy, pressure: float) -> Strategy:
    """The strategy as it is carried out under pressure: each threshold t becomes t × (1 − pressure).

    A lower threshold accepts whatever a higher one accepts, so every query stops where it did, or earlier.
    """
    pressure = min(1.0, max(0.0, pressure))
    if pressure == 0.0:
        return strategy
    stages = tuple(
        stage if stage.threshold is None else replace(stage, threshold=stage.threshold * (1.0 - pressure))
        for stage in strategy.stages
    )
    return replace(strategy, stages=stages)


def lambda_multiplier(pressure: float) -> float:
    """By what to multiply the price of quality where a strategy has one: 1 without pressure, rising, never infinite."""
    pressure = min(1.0, max(0.0, pressure))
    return min(_MOST, 1.0 / (1.0 - pressure)) if pressure < 1.0 else _MOST
