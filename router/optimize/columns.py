"""Where a strategy's models stand in a table.

Knows names and indices. Knows no score.
"""

from router.errors import StrategyError
from router.optimize.simulate import Chain
from router.optimize.table import ScoreTable
from router.strategy import Strategy


def columns(strategy: Strategy, table: ScoreTable) -> tuple[Chain, int]:
    """The stages' models and the reference. Raises StrategyError naming the one that the table lacks, and why."""
    chain = tuple(_column(table, model, "stage") for model in strategy.models)
    return chain, _column(table, strategy.reference_model, "reference")


def _column(table: ScoreTable, model: str, role: str) -> int:
    if model not in table.models:
        raise StrategyError(f"{role} model {model!r}: {table.left_out.get(model, 'has no answers in the data')}")
    return table.models.index(model)
