"""The series of strategies that is tested for a certificate, from the strictest to the one that was chosen.

Knows tables and threshold cascades. Decides on queries that certify nothing which strategies are tested and from where.

The path leads from the chosen strategy towards the last stage alone: at each step every threshold is so high that the
same share of what it accepted on the selection's queries is still accepted. Nothing on it is more lenient than what was
chosen, so nothing is certified that the rule of choice did not want.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router.certificate import Kind
from router.optimize.simulate import Chain, play
from router.optimize.table import ScoreTable

STEPS = 40
_STAKES = np.linspace(0, 0.98, 50)
_NEARLY = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Trials:
    """What every step of a path did on a table's queries, from the strictest step to the most lenient.

    losses : (steps, n) 1 - quality; for a quality drop, quality below the reference's, in [-1, 1].
    accepted : (steps, n) whether a judged stage's answer was returned.   cost_nanousd : (steps, n), all calls.
    """

    kind: Kind
    losses: NDArray[np.float64]
    accepted: NDArray[np.bool_]
    cost_nanousd: NDArray[np.int64]

    def counted(self, step: int) -> NDArray[np.float64]:
        """The losses that the promise is about: of accepted answers, or for a quality drop of all queries."""
        losses = self.losses[step]
        return losses if self.kind == "quality_drop" else np.asarray(losses[self.accepted[step]])

    def scaled(self, losses: NDArray[np.float64]) -> NDArray[np.float64]:
        """Losses in [0, 1]: a drop is shifted and halved."""
        return np.asarray((losses + 1) / 2) if self.kind == "quality_drop" else losses

    def limit(self, alpha: float) -> float:
        """``alpha`` on the scale of ``scaled``."""
        return (alpha + 1) / 2 if self.kind == "quality_drop" else alpha


def steps(table: ScoreTable, chain: Chain, thresholds: tuple[float, ...], size: int = STEPS) -> NDArray[np.float64]:
    """(at most size, judged stages) thresholds of each step; the last row is ``thresholds`` itself.

    table : the selection's queries.
    """
    shares = np.arange(1, size + 1) / size
    columns = [_raised(table.scores(chain[i], chain[:i]), t, shares) for i, t in enumerate(thresholds)]
    rows = np.column_stack(columns) if columns else np.empty((1, 0))
    rows[-1] = thresholds
    return np.asarray(rows[np.append((np.diff(rows, axis=0) != 0).any(axis=1), True)])


def _raised(scores: NDArray[np.float64], threshold: float, shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """(steps,) thresholds at which these shares of the accepted scores are still accepted, ties with them."""
    accepted = scores[scores >= threshold]
    if not accepted.size:
        return np.asarray(threshold + (1 - shares) * (1 - threshold))
    return np.asarray(np.maximum(np.quantile(accepted, 1 - shares, method="higher"), threshold))


def trials(table: ScoreTable, chain: Chain, path: NDArray[np.float64], kind: Kind, reference: int) -> Trials:
    """Play every step of a path. reference : the model that a quality drop is counted against."""
    plays = [play(table, chain, row.tolist()) for row in path]
    quality = np.array([played.quality for played in plays])
    return Trials(
        kind=kind,
        losses=(table.quality[:, reference] if kind == "quality_drop" else 1) - quality,
        accepted=np.array([played.stage for played in plays]) < len(chain) - 1,
        cost_nanousd=np.array([played.cost_nanousd for played in plays]),
    )


def start(selection: Trials, alpha: float) -> int:
    """The step at which testing should start, where evidence that the risk is below ``alpha`` grows fast.

    selection : trials on the selection's queries. The strictest steps are safe but count few queries, the most lenient
    count many and may not be safe. Each step is judged as if one more loss had been seen. Of the steps where evidence
    grows nearly as fast as anywhere, the strictest is taken: testing goes on from it, never back.
    """
    limit, n = selection.limit(alpha), selection.losses.shape[1]
    growth, risk = [], []
    for step in range(len(selection.losses)):
        seen = np.append(selection.scaled(selection.counted(step)), 1.0)
        payoffs, weights = np.unique((1 - seen) / (1 - limit), return_counts=True)
        growth.append(float((np.log1p(_STAKES[:, None] * (payoffs - 1)) @ weights / n).max()))
        risk.append(float(seen.mean()))
    best = max(growth)
    return int(np.argmax(np.array(growth) >= _NEARLY * best)) if best > 0 else int(np.argmin(risk))
