"""How often a certified strategy breaks its promise, on real answers whose true risk is known, so it can be counted.

Of each set's training queries (scores out of fold) one half chooses the strategy and places the test, the other half is
the whole population: calibration sets are drawn from it with replacement, and a strategy's true risk is its mean there.
Naive strategies, the most lenient ones on the same path whose risk on the calibration set is within alpha, stand
beside. Strategies are threshold cascades and plans. Prints a table.
"""

import hashlib
import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from router.certificate import Kind, Promise, Test
from router.optimize.certify import path_of
from router.optimize.choose import choose
from router.optimize.floors import carried
from router.optimize.selection import Rule
from router.optimize.table import ScoreTable
from router.pricing import PriceBook
from router.strategy import Kind as StrategyKind
from router.strategy import Strategy
from scorer.dataset import read_log
from scorer.scoring import Scorer
from tests.acceptance.served import spillway
from tests.pools import Draws, draw, risks

pytestmark = [pytest.mark.evidence, pytest.mark.data, pytest.mark.timeout(3600)]

SETS = tuple(os.environ.get("SPILLWAY_SETS", "zeroeval_gsm zeroeval_math_l5 zeroeval_crux mmlu_pro").split())
DRAWS, DELTA = 1000, 0.1
LEAST_DROP = 0.02
CASES: tuple[tuple[Kind, Test, float], ...] = (  # alpha as a multiple of the chosen strategy's true risk
    ("wrong_accepted", "binomial", 0.9),  # where to certify it is a mistake,
    ("wrong_accepted", "binomial", 2.0),  # and where it is none
    ("quality_drop", "betting", 0.9),
    ("quality_drop", "betting", 2.0),
    ("wrong_accepted", "conformal", 0.9),
)
STRATEGIES: tuple[StrategyKind, ...] = ("threshold", "cascade_route")


@dataclass(frozen=True, slots=True, kw_only=True)
class Halves:
    """One half of a set chooses the strategy and lays the path, the other is the population."""

    selection: ScoreTable
    pool: ScoreTable
    path: list[Strategy]
    reference: int

    @classmethod
    def of(cls, table: ScoreTable, version: str, kind: StrategyKind) -> "Halves":
        """By a rule that leaves something to be broken: the best quality for a tenth of the reference's cost."""
        sides = np.array([hashlib.sha256(group.encode()).digest()[0] % 2 for group in table.groups])
        selection, pool = (table.take(np.flatnonzero(sides == side)) for side in (0, 1))
        reference = selection.reference()
        rule = Rule(
            goal="budget-usd-per-1k", amount=float(selection.cost_nanousd[:, reference].mean()) / 1e7, caution=0
        )
        chosen = choose(selection, rule, scorer_version=version, kind=kind).strategy
        assert chosen.kind == kind
        return cls(selection=selection, pool=pool, path=path_of(selection, chosen), reference=reference)

    def drawn(self, kind: Kind, test: Test, hardness: float) -> Draws:
        """What comes of certifying on a thousand calibration sets, each as large as the pool."""
        before, whole = (carried(t, self.path, kind, self.reference) for t in (self.selection, self.pool))
        least = LEAST_DROP if kind == "quality_drop" else 0.001
        conformal = test == "conformal"
        promise = Promise(
            kind=kind,
            method="conformal" if conformal else "learn_then_test",
            alpha=round(max(least, hardness * float(risks(whole, test)[-1])), 3),
            delta=None if conformal else DELTA,
        )
        base = float(self.pool.cost_nanousd[:, self.reference].sum())
        return draw(whole, before, promise, test, base, n=self.pool.n, draws=DRAWS, seed=0)


def test_certificates_are_broken_as_seldom_as_promised(
    replay_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Asserted: the share of draws that end in a certified strategy above alpha is at most delta + 3 standard errors,
    and of a conformal promise that the mean risk is at most alpha + 3 standard errors."""
    prices, rows = PriceBook.load(replay_data / "prices.json"), []
    for name in SETS:
        log = replay_data / f"{name}.jsonl.gz"
        spillway("train", "--data", str(log), "--split", "train", "--out", name, folder=tmp_path)
        scorer = Scorer.load(tmp_path / name)
        table = ScoreTable.build(read_log([log], split="train").queries, scorer, prices)
        for strategy in STRATEGIES:
            halves = Halves.of(table, scorer.version, strategy)
            for kind, test, hardness in CASES:
                found = halves.drawn(kind, test, hardness)
                rows.append(row(f"{name}, {halves.pool.n}, {strategy}", kind, test, found))
                if test == "conformal":
                    spread = float(np.std(found.truth[found.step])) / math.sqrt(DRAWS)
                    assert found.mean_risk() <= found.alpha + 3 * spread, rows[-1]
                else:
                    assert found.wrong(found.step) <= DELTA + 3 * math.sqrt(DELTA * (1 - DELTA) / DRAWS), rows[-1]
    with capsys.disabled():
        print(
            "\n| set, queries per draw, strategy | promise | alpha | certified ",
            "| true risk > alpha, of all draws (of certified) ",
            sep="",
            end="",
        )
        print("| naive strategies | mean true risk | saving kept: certified, naive, best within alpha |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- |")
        print("\n".join(rows))


def row(name: str, kind: Kind, test: Test, found: Draws) -> str:
    """One line of the table."""
    broken, certified = found.wrong(found.step), found.certified
    within = np.flatnonzero(found.truth <= found.alpha)
    best = float(found.saving[within].max()) if within.size else 0.0
    return (
        f"| {name} | {kind}, {test} | {found.alpha} | {certified:.1%} "
        f"| {broken:.1%} ({broken / certified if certified else 0:.1%}) | {found.wrong(found.naive):.1%} "
        f"| {found.mean_risk():.4f} | {found.kept(found.step):.1%}, {found.kept(found.naive):.1%}, {best:.1%} |"
    )
