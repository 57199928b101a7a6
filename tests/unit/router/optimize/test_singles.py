"""The cheapest model that is shown to be equal: no difference seen is not enough."""

import numpy as np
import pytest

from router.optimize.singles import cheapest_equal
from router.optimize.table import ScoreTable


def table(cheap: list[float], dear: list[float]) -> ScoreTable:
    n = len(dear)
    return ScoreTable(
        models=("cheap", "dear"),
        query_hashes=tuple(f"{i:064x}" for i in range(n)),
        quality=np.column_stack([cheap, dear]),
        cost_nanousd=np.column_stack([np.full(n, 1), np.full(n, 9)]).astype(np.int64),
        scores=lambda model, context: np.zeros(n),
    )


@pytest.mark.parametrize(
    ("n", "lost", "equal"),
    [
        (2000, 0, 0),  # the same
        (2000, 8, 0),  # 0.4 points worse, surely less than one
        (2000, 18, 1),  # 0.9 points worse: it may be more than one
        (2000, 60, 1),
    ],
)
def test_a_cheaper_model_is_equal_only_within_the_margin_surely(n: int, lost: int, equal: int) -> None:
    dear = [1.0] * n
    assert cheapest_equal(table([0.0] * lost + [1.0] * (n - lost), dear), 1) == equal


def test_few_queries_show_nothing() -> None:
    mixed = [1.0, 0.0] * 20
    assert cheapest_equal(table(mixed[::-1], mixed), 1) == 1
