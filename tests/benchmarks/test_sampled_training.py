"""What training on a stratified sample costs: scorers of a quarter, a half and all of a log, on held-out queries.

AUROC and Brier of single answers and of answers beside others, and what the strategy that each scorer leads to saves at
which quality. Needs the replay data (SPILLWAY_DATA).
"""

import os
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from router.optimize.choose import choose
from router.optimize.selection import Rule
from router.optimize.table import ScoreTable
from router.pricing import PriceBook
from router.replay import replay
from scorer.dataset import LoggedQuery, read_log
from scorer.partitioned.sample import sampled
from scorer.partitioned.writing import write_folder
from scorer.registry import write
from scorer.scoring import Scorer
from scorer.training import train

pytestmark = [pytest.mark.evidence, pytest.mark.data, pytest.mark.timeout(3600)]
DATA = Path(os.environ.get("SPILLWAY_DATA", "/nonexistent"))
SETS = os.environ.get("SPILLWAY_SETS", "mmlu_pro,zeroeval_gsm").split(",")


@pytest.mark.parametrize("name", SETS)
def test_a_sample_loses_little(name: str, tmp_path: Path) -> None:
    log, prices = DATA / f"{name}.jsonl.gz", PriceBook.load(DATA / "prices.json")
    write_folder(tmp_path / "folder", read_log([log]).queries, cost=lambda _: None, shards=4)
    dev = read_log([log], split="dev").queries
    every = sampled(tmp_path / "folder", 10**9, split="train")
    print(
        f"\n| {name}, of {every.of:,} | queries | AUROC alone; beside | Brier alone; beside | quality; saving on dev |"
    )
    print("| --- | --- | --- | --- | --- |")
    found = {}
    for share in (1.0, 0.5, 0.25):
        chosen = sampled(tmp_path / "folder", round(every.of * share), split="train")
        write(train(chosen.queries), tmp_path / f"{share}")
        scorer = Scorer.load(tmp_path / f"{share}")
        alone, beside = judged(scorer, dev)
        table = ScoreTable.build(every.queries, scorer, prices)
        strategy = choose(table, Rule(goal="match-best"), scorer_version=scorer.version, kind="threshold").strategy
        told = replay(strategy, scorer, dev, prices)
        low, high = told.quality_delta_ci95
        found[share] = alone
        print(
            f"| {share:.0%} | {len(chosen.queries):,} | {alone[0]:.4f}; {beside[0]:.4f} | "
            f"{alone[1]:.4f}; {beside[1]:.4f} | "
            f"{told.quality_delta:+.4f} ({low:+.4f} … {high:+.4f}); {told.saving or 0:.1%} |"
        )
    assert found[0.25][0] > 0.5
    assert found[1.0][0] - found[0.5][0] < 0.03


def judged(scorer: Scorer, queries: tuple[LoggedQuery, ...]) -> tuple[tuple[float, float], tuple[float, float]]:
    """AUROC and Brier score, of every model's answers alone, and beside the cheapest other's by name."""
    models = sorted(scorer.models)
    labels = np.concatenate([[query.labels[model] for query in queries] for model in models])
    results = []
    for others in (False, True):
        beside = {model: [next(m for m in models if m != model)] if others else [] for model in models}
        scores = np.concatenate([scorer.score_log(queries, model, beside[model]) for model in models])
        results.append((float(roc_auc_score(labels >= 0.5, scores)), float(np.mean((labels - scores) ** 2))))
    return results[0], results[1]
