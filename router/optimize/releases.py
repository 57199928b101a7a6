"""At which score of its beginning a first stage's stream is let go, and what that costs.

A stream that is let go is returned whatever its end is worth. Only the first stage lets go: what later stages say is
judged beside the answers before it. Knows scores of beginnings, out of fold. Knows no live stream.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from router.errors import StrategyError
from router.optimize.carried import carry_out
from router.optimize.columns import columns
from router.optimize.table import ScoreTable
from router.strategy import Strategy
from scorer.dataset import LoggedQuery

_GRID = 200


@runtime_checkable
class PrefixLogScorer(Protocol):
    """What is needed of a scorer; ``scorer.scoring.Scorer`` has it."""

    @property
    def prefix_lengths(self) -> tuple[int, ...]: ...

    def score_prefix_log(self, queries: Sequence[LoggedQuery], model: str, /) -> NDArray[np.float64]:
        """(n, lengths), nan where the answer was no longer; out of fold where trained on."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """What a release did on n queries.

    let_go : (n,) whether the stream was.   seen : (n,) the share of its text that had come by then, 1 where it was held
    to its end.   quality, cost_nanousd : (n,), of all calls.
    """

    let_go: NDArray[np.bool_]
    seen: NDArray[np.float64]
    quality: NDArray[np.float64]
    cost_nanousd: NDArray[np.int64]


class Releases:
    """One strategy on one table, with any release."""

    def __init__(self, strategy: Strategy, table: ScoreTable, queries: Sequence[LoggedQuery], scorer: object) -> None:
        """Raises StrategyError where nothing could be let go."""
        if strategy.kind != "threshold":
            raise StrategyError(f"strategy {strategy.id} judges no first stage, so there is nothing to let go early")
        if not isinstance(scorer, PrefixLogScorer) or not scorer.prefix_lengths:
            raise StrategyError("the scorer does not judge beginnings; train it with --prefixes")
        chain, _ = columns(strategy, table)
        first = strategy.stages[0].model
        self._held = carry_out(table, strategy)
        self._quality, self._cost = table.quality[:, chain[0]], table.cost_nanousd[:, chain[0]]
        self._scores = np.nan_to_num(scorer.score_prefix_log(queries, first), nan=-1.0)
        lengths = np.array(scorer.prefix_lengths, dtype=np.float64)
        text = np.array([max(1, len(query.answers[first].answer.text)) for query in queries], dtype=np.float64)
        self._shares = np.minimum(1.0, lengths[None, :] / text[:, None])
        self._best = self._scores.max(axis=1)

    @property
    def held(self) -> Released:
        """What comes of it where every stream is held until it is whole."""
        return self.at(2.0)

    def at(self, release: float, rows: NDArray[np.intp] | None = None) -> Released:
        """rows : of the table; default: all."""
        rows = np.arange(len(self._best)) if rows is None else rows
        reached = self._scores[rows] >= release
        let_go = np.asarray(reached.any(axis=1))
        first = reached.argmax(axis=1)
        return Released(
            let_go=let_go,
            seen=np.where(let_go, self._shares[rows, first], 1.0),
            quality=np.where(let_go, self._quality[rows], self._held.quality[rows]),
            cost_nanousd=np.where(let_go, self._cost[rows], self._held.cost_nanousd[rows]),
        )

    def choose(self, loss: float, caution: float, rows: NDArray[np.intp] | None = None) -> float | None:
        """The lowest release at which, as at every higher one, quality is surely not lost: against holding, at most
        ``loss`` on average by ``caution`` standard errors. None where there is none."""
        rows = np.arange(len(self._best)) if rows is None else rows
        best = self._best[rows][self._best[rows] >= 0]
        if not len(best):
            return None
        chosen = None
        for level in np.unique(np.quantile(best, np.linspace(0, 1, _GRID)))[::-1].tolist():
            gain = self.at(level, rows).quality - self._held.quality[rows]
            n = len(gain)  # as if one more query had gone otherwise: no difference seen is not no difference
            error = np.sqrt(max(0.0, np.mean(gain * gain) + 1 / n - gain.mean() ** 2) / n)
            if gain.mean() - caution * error < -loss:
                break
            chosen = level
        return chosen
