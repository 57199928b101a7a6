"""Made-up logs as folders of Parquet, priced and scored."""

from collections.abc import Sequence
from pathlib import Path

from router.offline.costing import costing
from router.offline.running import Here
from router.offline.scoring import Context, contexts_up_to, score_folder
from scorer.dataset import LoggedQuery
from scorer.partitioned.writing import write_folder
from tests.fakelog import MODELS, FakeScorer, fake_prices


def folder_of(out: Path, queries: Sequence[LoggedQuery], *, shards: int = 3) -> Path:
    """Priced by ``fake_prices``."""
    cost, versions = costing(fake_prices().price)
    write_folder(out, queries, cost=cost, prices=versions, shards=shards)
    return out


def scored_folder(
    out: Path, queries: Sequence[LoggedQuery], *, shards: int = 3, contexts: Sequence[Context] | None = None
) -> Path:
    """Scored by a ``FakeScorer`` too, for chains of up to three models."""
    plain = folder_of(out.with_name("plain"), queries, shards=shards)
    beside = contexts_up_to(list(MODELS), 3) if contexts is None else contexts
    score_folder(plain, out, FakeScorer(), Here(), models=list(MODELS), contexts=beside)
    return out
