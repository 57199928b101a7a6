"""What letting streams go early costs in quality and brings in time and money, on real answers.

On the train splits: one cross-fitted scorer a set (its scores are out of fold), and strategy and release chosen without
each of five folds and judged on it. Prints what was measured, whatever it is.
"""

from pathlib import Path

import numpy as np
import pytest

from router.errors import StrategyError
from router.optimize.choose import choose
from router.optimize.folding import FOLDS, folds
from router.optimize.releases import Released, Releases
from router.optimize.search import SearchSpace
from router.optimize.selection import CAUTION, Rule
from router.optimize.table import ScoreTable
from router.pricing import PriceBook
from scorer import registry
from scorer.dataset import LoggedQuery, read_log
from scorer.scoring import Scorer
from scorer.training import train

pytestmark = [pytest.mark.evidence, pytest.mark.data, pytest.mark.timeout(7200)]

LOSSES = (0.002, 0.005, 0.01)
SETS = ("zeroeval_gsm", "zeroeval_math_l5", "zeroeval_crux", "mmlu_pro")


@pytest.mark.parametrize("name", SETS)
def test_releases(name: str, replay_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One set."""
    queries = read_log([replay_data / f"{name}.jsonl.gz"], split="train").queries
    registry.write(train(queries, prefixes=True), tmp_path / "scorer")
    scorer = Scorer.load(tmp_path / "scorer")
    table = ScoreTable.build(queries, scorer, PriceBook.load(replay_data / "prices.json"))
    for loss in LOSSES:
        done, held = judged(table, queries, scorer, loss)
        if not done:
            continue
        gain = np.concatenate([one.quality - other.quality for one, other in zip(done, held, strict=True)])
        let_go, seen = (np.concatenate(part) for part in ([one.let_go for one in done], [one.seen for one in done]))
        cost = sum(int(one.cost_nanousd.sum()) for one in done) / sum(int(one.cost_nanousd.sum()) for one in held)
        with capsys.disabled():
            print(
                f"\n{name}, loss {loss}: {let_go.mean():.1%} of {len(gain)} streams let go after "
                f"{seen[let_go].mean() if let_go.any() else 1:.0%} of their text; quality {gain.mean():+.4f} "
                f"(s.e. {gain.std() / len(gain) ** 0.5:.4f}), cost {cost - 1:+.1%} against holding",
                end="",
            )


def judged(
    table: ScoreTable, queries: tuple[LoggedQuery, ...], scorer: Scorer, loss: float
) -> tuple[list[Released], list[Released]]:
    """By fold, what comes of the choice made without it, and of holding; but for choices of one model alone."""
    parts = folds(table.groups)
    done, held = [], []
    for part in range(FOLDS):
        rest, here = np.flatnonzero(parts != part), np.flatnonzero(parts == part)
        space = SearchSpace(depth=3, max_models=6)
        choice = choose(table.take(rest), Rule(goal="match-best"), scorer_version=scorer.version, space=space)
        try:
            releases = Releases(choice.strategy, table, queries, scorer)
        except StrategyError:
            continue
        release = releases.choose(loss, CAUTION, rest)
        done.append(releases.at(2.0 if release is None else release, here))
        held.append(releases.at(2.0, here))
    return done, held
