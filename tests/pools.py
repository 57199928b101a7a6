"""Made-up queries whose risk is known exactly: a large pool to draw calibration sets from, and one to place tests with.

The pool is the whole population, so what a strategy's risk is in truth can be read off it. Shared by tests of
certificates; the draws are with replacement.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router.certificate import Kind, Promise, Test
from router.optimize.path import Trials, start, trials
from router.optimize.simulate import Chain
from router.optimize.table import ScoreTable
from router.optimize.verdict import walk


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """What came of certifying on many calibration sets. All arrays are (draws,).

    step : the certified step, -1 where none was.   naive : the most lenient step whose observed risk is within alpha.
    truth : (steps,) the pool's own risk, for conformal the share of wrong and accepted.   saving : (steps,)
    """

    alpha: float
    step: NDArray[np.intp]
    naive: NDArray[np.intp]
    truth: NDArray[np.float64]
    saving: NDArray[np.float64]

    def wrong(self, chosen: NDArray[np.intp]) -> float:
        """The share of draws whose choice has a true risk above alpha."""
        return float(np.mean((chosen >= 0) & (self.truth[chosen] > self.alpha)))

    @property
    def certified(self) -> float:
        """The share of draws on which something was certified."""
        return float(np.mean(self.step >= 0))

    def kept(self, chosen: NDArray[np.intp]) -> float:
        """The mean saving; the reference, which saves nothing, answers where nothing was chosen."""
        return float(np.where(chosen >= 0, self.saving[chosen], 0.0).mean())

    def mean_risk(self) -> float:
        """The mean true risk of what was certified, nothing being accepted where nothing was."""
        return float(np.where(self.step >= 0, self.truth[self.step], 0.0).mean())


def draw(
    pool: Trials, before: Trials, promise: Promise, test: Test, reference_cost: float, *, n: int, draws: int, seed: int
) -> Draws:
    """Certify on ``draws`` calibration sets of ``n`` queries each, drawn from the pool with replacement.

    reference_cost : of the whole pool, in nano-USD.   before : trials of the same path on the selection.
    """
    rng = np.random.default_rng(seed)
    size = pool.losses.shape[1]
    first = 0 if test == "conformal" else start(before, promise.alpha)
    certified, naive = [], []
    for _ in range(draws):
        rows = rng.integers(0, size, n)
        sample = Trials(
            kind=pool.kind,
            losses=pool.losses[:, rows],
            accepted=pool.accepted[:, rows],
            cost_nanousd=pool.cost_nanousd[:, rows],
        )
        verdict = walk(first, sample, promise, test)
        certified.append(-1 if verdict is None else verdict.step)
        within = np.flatnonzero(risks(sample, test) <= promise.alpha)
        naive.append(int(within[-1]) if within.size else -1)
    return Draws(
        alpha=promise.alpha,
        step=np.array(certified),
        naive=np.array(naive),
        truth=risks(pool, test),
        saving=1 - pool.cost_nanousd.sum(axis=1) / reference_cost,
    )


def risks(seen: Trials, test: Test) -> NDArray[np.float64]:
    """(steps,) mean losses, 0 where nothing is accepted."""
    if seen.kind == "quality_drop":
        return np.asarray(seen.losses.mean(axis=1))
    lost = np.where(seen.accepted, seen.losses, 0.0).sum(axis=1)
    accepted = seen.accepted.sum(axis=1)
    return np.asarray(lost / (seen.losses.shape[1] if test == "conformal" else np.maximum(accepted, 1)))


def population(n: int, seed: int, *, fractional: bool = False) -> ScoreTable:
    """Three models, ever better and dearer, and calibrated scores that tell much of their labels."""
    rng = np.random.default_rng(seed)
    sure = np.sort(rng.beta([2.0, 3.0, 5.0], [1.0, 0.9, 0.8], (n, 3)), axis=1)
    right = (rng.random((n, 3)) < sure).astype(np.float64)
    quality = np.where(right > 0, 1 - 0.2 * rng.random((n, 3)), 0.3 * rng.random((n, 3))) if fractional else right
    return ScoreTable(
        models=("small", "middling", "large"),
        query_hashes=tuple(f"{seed:08x}{i:056x}" for i in range(n)),
        quality=quality,
        cost_nanousd=np.tile(np.array([10, 100, 1000], dtype=np.int64), (n, 1)),
        scores=lambda model, _context: sure[:, model],
    )


def played(kind: Kind, path: NDArray[np.float64], chain: Chain, *tables: ScoreTable) -> Iterator[Trials]:
    """The same path on each table, the last of the chain being the reference."""
    for table in tables:
        yield trials(table, chain, path, kind, chain[-1])
