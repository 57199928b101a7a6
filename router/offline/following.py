"""Plays any strategy on one file by reading its queries back and asking the scorer: slower, but needs no column.

Knows strategies of every kind, scorers and prices. For plans, whose beliefs no column holds, and unscored folders.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from router.offline.sums import Key, Sums
from router.offline.wide import Reading
from router.optimize.carried import carry_out
from router.optimize.columns import columns
from router.optimize.table import LogScorer, ScoreTable
from router.pricing import PriceBook
from router.strategy import Strategy
from scorer.dataset import LoggedQuery
from scorer.partitioned.layout import NANO
from scorer.partitioned.reading import batches, queries_of
from scorer.scoring import Scorer


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """A strategy to follow on a file at these prices. scorer : where it is a folder, each worker loads it."""

    strategy: Strategy
    scorer: Path | LogScorer
    prices: PriceBook

    def sums(self, path: Path, reading: Reading) -> Sums:
        """As ``playing.Played`` has them, and ``("called", stage)``; models that did not answer all are no singles."""
        scorer = loaded(self.scorer)
        each = batches(queries_of(path, None))
        return Sums.total(followed(self.strategy, scorer, [query for _, query in batch], self.prices) for batch in each)


def loaded(scorer: Path | LogScorer) -> LogScorer:
    """A scorer, from its folder or as it is."""
    return Scorer.load(scorer) if isinstance(scorer, Path) else scorer


def followed(strategy: Strategy, scorer: LogScorer, queries: list[LoggedQuery], prices: PriceBook) -> Sums:
    """The sums over some queries, those left out that lack an answer of the strategy's models or the reference's."""
    needed = {*strategy.models, strategy.reference_model}
    whole = [query for query in queries if needed <= query.answers.keys()]
    if not whole:
        return Sums()
    table = ScoreTable.build(whole, scorer, prices, only_scored=False)
    _, reference = columns(strategy, table)
    carried = carry_out(table, strategy)
    quality, base = _nano(carried.quality), _nano(table.quality[:, reference])
    spent, base_spent = carried.cost_nanousd.tolist(), table.cost_nanousd[:, reference].tolist()
    values: dict[Key, tuple[int, ...]] = {}
    for stage in range(len(strategy.stages)):
        rows = np.flatnonzero(carried.returned == stage).tolist()
        values["called", stage] = (int(carried.called[:, stage].sum()),)
        if rows:
            values["returned", stage] = _summed(
                [(quality[row], int(spent[row]), base[row], int(base_spent[row])) for row in rows]
            )
    chosen = sum(strategy.chosen_on(query_hash) for query_hash in table.query_hashes)
    if chosen:
        values["seen",] = (chosen,)
    for column, model in enumerate(table.models):
        costs, n = table.cost_nanousd[:, column].tolist(), table.n
        values["single", model] = (n, n, sum(_nano(table.quality[:, column])), n, sum(map(int, costs)))
    return Sums(values)


def _nano(quality: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]") -> list[int]:
    return [round(value * NANO) for value in quality.tolist()]


def _summed(rows: list[tuple[int, int, int, int]]) -> tuple[int, ...]:
    """In the order of ``playing.RETURNED``."""
    products = [(1, q, q * q, c, c * c, rq, rq * rq, rc, rc * rc, (q - rq) ** 2, c * rc) for q, c, rq, rc in rows]
    return tuple(map(sum, zip(*products, strict=True)))
