"""A strategy: which models, in which order, with which thresholds, and on what evidence it was chosen.

Knows the file it is kept in. Knows nothing of how it is found or carried out.
"""

from dataclasses import dataclass
from typing import Literal

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One tier of a cascade: an answer is accepted if its score reaches ``threshold``; None accepts every answer."""

    model: str
    threshold: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a strategy was chosen on, so that nothing is later evaluated on it unknowingly."""

    rule: str  # e.g. "match-best", "budget-usd-per-1k=0.5"
    data_sha256: str  # of the sorted query hashes
    n_queries: int
    quality: float  # expected, on out-of-fold scores
    cost_usd_per_1k: float
    reference_quality: float
    reference_cost_usd_per_1k: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """Stages in calling order. ``reference_model`` is what savings are counted against; ``safe_model`` answers alone
    whenever the scorer abstains."""

    id: str
    kind: Literal["threshold"]
    stages: tuple[Stage, ...]
    reference_model: str
    safe_model: str
    scorer_version: str | None
    evidence: Evidence | None
    created: str  # ISO 8601, UTC
