"""Which strategies there are, what each of them brought on the table, and the cost-quality frontier among them.

Knows every threshold cascade over the models worth trying. Knows no rule by which one is chosen.

The idea of searching orders and thresholds over a scorer's acceptances is FrugalGPT's (Chen, Zaharia and Zou, 2023).
Here scores are out of fold and calibrated, and each stage's score depends on the answers that were paid for before it.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from router.optimize.frontier import undominated
from router.optimize.simulate import SUMS, Chain, Engine, Sweep, axes, play
from router.optimize.table import ScoreTable

Progress = Callable[[int, int], None]
"""Told how many of how many steps are done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSpace:
    """What is tried: chains of up to ``depth`` of at most ``max_models`` models.

    grid_sizes : how many thresholds where a chain has one of them to choose, and how many on each axis where it has
        two (see ``simulate.axes``). Finer grids and more models fit the table better, and new queries worse.
    """

    depth: int = 5
    max_models: int = 8
    grid_sizes: tuple[int, int] = (40, 14)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimates:
    """Means per query of S strategies, with standard errors (``_se``). All arrays are (S,).

    quality : in [0, 1].   gain : quality above the reference's, paired by query.
    cost : nano-USD.   overspend_se : of cost above the reference's, paired by query.
    """

    quality: NDArray[np.float64]
    quality_se: NDArray[np.float64]
    gain: NDArray[np.float64]
    gain_se: NDArray[np.float64]
    cost: NDArray[np.float64]
    cost_se: NDArray[np.float64]
    overspend_se: NDArray[np.float64]
    reference_quality: float
    reference_cost: float


class Sweeps:
    """All strategies that were tried, with their sums over each part (fold) of the queries.

    chains, thresholds : per chain its models and its stages' grids.   chain_of, cell : (S,) which chain, and which
    combination of its thresholds.   sums : (len(SUMS), parts, S).   part_sizes : (parts,).
    reference_sums : (2, parts) of the reference's quality and cost.
    """

    def __init__(
        self,
        *,
        chains: tuple[Chain, ...],
        sweeps: Sequence[Sweep],
        part_sizes: NDArray[np.int64],
        reference: int,
        reference_sums: NDArray[np.float64],
    ) -> None:
        self.chains, self.part_sizes, self.reference = chains, part_sizes, reference
        self._reference_sums = reference_sums
        self._thresholds = tuple(sweep.thresholds for sweep in sweeps)
        flat = [sweep.sums.reshape(len(SUMS), len(part_sizes), -1) for sweep in sweeps]
        self.sums = np.concatenate(flat, axis=2)
        self.chain_of = np.repeat(np.arange(len(flat)), [sums.shape[2] for sums in flat])
        self.cell = np.concatenate([np.arange(sums.shape[2]) for sums in flat])

    def __len__(self) -> int:
        return len(self.cell)

    def stages(self, index: int) -> tuple[Chain, tuple[float, ...]]:
        """The models and thresholds of one strategy."""
        which = self.chain_of[index]
        chain, grids = self.chains[which], self._thresholds[which]
        cells = np.unravel_index(self.cell[index], [len(grid) for grid in grids]) if grids else ()
        return chain, tuple(float(grids[axis][cells[axis]]) for axis in axes(len(chain)))

    def index_of_single(self, model: int) -> int:
        """Which strategy is this model alone. Raises ValueError if it was not worth trying."""
        return int(np.searchsorted(self.chain_of, self.chains.index((model,))))

    def estimates(self, *, without: int | None = None, only: int | None = None) -> Estimates:
        """Means over all queries, over those outside one part, or over those of one part."""
        kept = np.ones(len(self.part_sizes), dtype=bool) if only is None else np.zeros(len(self.part_sizes), dtype=bool)
        if only is not None:
            kept[only] = True
        elif without is not None:
            kept[without] = False
        n = float(self.part_sizes[kept].sum())
        gain, gain_squared, cost, cost_squared, overspend_squared = self.sums[:, kept].sum(axis=1) / n
        reference_quality, reference_cost = (self._reference_sums[:, kept].sum(axis=1) / n).tolist()
        quality = np.clip(gain + reference_quality, 0, 1)
        # as if one more query had gone otherwise than with the reference: no difference seen is not no difference
        gain_se = _standard_error(gain, gain_squared + 1 / n, n)
        gain_se[self.index_of_single(self.reference)] = 0.0
        return Estimates(
            quality=quality,
            quality_se=np.sqrt(quality * (1 - quality) / n),  # exact for 0/1 labels, too large for fractional ones
            gain=gain,
            gain_se=gain_se,
            cost=cost,
            cost_se=_standard_error(cost, cost_squared, n),
            overspend_se=_standard_error(cost - reference_cost, overspend_squared, n),
            reference_quality=reference_quality,
            reference_cost=reference_cost,
        )

    def frontier(self) -> NDArray[np.intp]:
        """The strategies that none beats in both cost and quality, from the cheapest to the best."""
        estimates = self.estimates()
        return undominated(estimates.gain, estimates.cost)


class Candidates(Sweeps):
    """Strategies tried on a table."""

    def __init__(
        self, table: ScoreTable, space: SearchSpace, parts: NDArray[np.intp], progress: Progress | None
    ) -> None:
        self.table, self.parts = table, parts
        reference = table.reference()
        engine = Engine(table, reference, parts=parts)
        tried = tuple(chains(models_worth_trying(table, space.max_models), space.depth))
        sweeps = []
        for done, chain in enumerate(tried):
            sweeps.append(engine.sweep(chain, space.grid_sizes[len(chain) > 2]))
            if progress is not None:
                progress(done + 1, len(tried))
        super().__init__(
            chains=tried,
            sweeps=sweeps,
            part_sizes=np.bincount(parts),
            reference=reference,
            reference_sums=np.array(
                [
                    np.bincount(parts, weights=table.quality[:, reference]),
                    np.bincount(parts, weights=table.cost_nanousd[:, reference]),
                ]
            ),
        )

    @classmethod
    def search(
        cls,
        table: ScoreTable,
        space: SearchSpace | None = None,
        *,
        parts: NDArray[np.intp] | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Try every strategy of the space. parts : (n,) fold of each query; default: one part."""
        return cls(
            table, space or SearchSpace(), np.zeros(table.n, dtype=np.intp) if parts is None else parts, progress
        )


def models_worth_trying(table: ScoreTable, at_most: int) -> tuple[int, ...]:
    """The reference and the models that are least dominated, at most ``at_most``, the cheapest first.

    A model is dominated by as much as the best model that costs no more is better than it. Being slightly dominated
    is no reason to go, since its mistakes may be others' strengths.
    """
    reference = table.reference()
    quality, cost = table.quality.mean(axis=0), table.cost_nanousd.mean(axis=0)

    def dominated_by(model: int) -> float:
        others = [quality[o] - quality[model] for o in range(len(cost)) if o != model and cost[o] <= cost[model]]
        return float(max(others, default=-np.inf))

    ranked = sorted(range(len(table.models)), key=lambda m: (m != reference, dominated_by(m), m))
    return tuple(sorted(ranked[:at_most], key=lambda m: (cost[m], m)))


def chains(models: tuple[int, ...], depth: int) -> Iterator[Chain]:
    """Chains of up to ``depth`` of the models, which come cheapest first; shorter chains first.

    All stages but the last stand in the models' order, for a dearer model before a cheaper one is hardly ever worth
    its price; the last is any other model.
    """
    for length in range(1, depth + 1):
        for first in itertools.combinations(models, length - 1):
            yield from ((*first, last) for last in models if last not in first)


def per_query(candidates: Candidates, index: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(n,) quality and (n,) cost in nano-USD of one strategy, query by query."""
    played = play(candidates.table, *candidates.stages(index))
    return played.quality, played.cost_nanousd


def _standard_error(mean: NDArray[np.float64], mean_of_squares: NDArray[np.float64], n: float) -> NDArray[np.float64]:
    return np.asarray(np.sqrt(np.maximum(mean_of_squares - mean * mean, 0) / n))
