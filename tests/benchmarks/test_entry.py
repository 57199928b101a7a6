"""What entering a cascade by a query's category brings on real answers: nothing is evaluated on what it was fitted on.

The scorer with its categories, the cascade, its thresholds and its entry come from the train split, categories and
scores out of fold; the dev split, which nothing has seen, is played with the entry and without. Where the optimiser
advises against an entry, the one that it had found is played all the same. Measured, not asserted.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from router.optimize.choose import choose
from router.optimize.entries import choose_entry, found
from router.optimize.selection import HeldOut, Rule
from router.optimize.table import ScoreTable
from router.pricing import PriceBook
from router.replay import replay
from router.strategy import Strategy
from scorer.dataset import LoggedQuery, read_log
from scorer.scoring import Scorer
from tests.acceptance.served import spillway

pytestmark = [pytest.mark.evidence, pytest.mark.data, pytest.mark.timeout(3600)]

SETS = {
    "zeroeval, 3 tasks": ("zeroeval_gsm", "zeroeval_math_l5", "zeroeval_crux"),
    "llmdrift, 1 task": ("llmdrift_prime", "llmdrift_happynumber"),
    "zeroeval_math_l5, clusters": ("zeroeval_math_l5",),
    "mmlu_pro, 11 subjects": ("mmlu_pro",),
}
RULES = (Rule(goal="match-best"), Rule(goal="max-quality-at-best-cost"))


@pytest.mark.parametrize("name", SETS)
def test_entering_by_category(name: str, replay_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs = [str(replay_data / f"{each}.jsonl.gz") for each in SETS[name]]
    spillway("train", "--data", *logs, "--split", "train", "--categories", "--out", "scorer", folder=tmp_path)
    scorer, prices = Scorer.load(tmp_path / "scorer"), PriceBook.load(replay_data / "prices.json")
    train, dev = (read_log(logs, split=split).queries for split in ("train", "dev"))
    table = ScoreTable.build(train, scorer, prices)
    told = scorer.report["categories"]
    with capsys.disabled():
        print(f"\n{name}: {len(scorer.categories)} categories, told apart out of fold: {told['accuracy']:.3f}")
        print(
            "| rule | entered later | held-out folds, without → with | dev, without → with |\n| --- | --- | --- | --- |"
        )
        for rule in RULES:
            plain = choose(table, rule, scorer_version=scorer.version, kind="threshold")
            choice = choose_entry(table, plain.strategy, rule, plain.candidates)
            entered = choice.strategy if choice.strategy.entry is not None else forced(table, plain.strategy, rule)
            advised = "" if choice.strategy.entry is not None else " (advised against)"
            skips = {} if entered.entry is None else dict(entered.entry.skips)
            moved = f"{', '.join(f'{c}: not {len(m)}' for c, m in skips.items()) or 'none'}{advised}"
            folds = f"{held(choice.without)} → {held(choice.with_entry)}"
            played = f"{on(dev, plain.strategy, scorer, prices)} → {on(dev, entered, scorer, prices)}"
            print(f"| {rule.name} | {moved} | {folds} | {played} |")
    assert set(scorer.categories) == set(told["queries"])


def forced(table: ScoreTable, strategy: Strategy, rule: Rule) -> Strategy:
    """With whatever entry the table speaks for."""
    if strategy.kind != "threshold":
        return strategy
    chain = tuple(table.models.index(model) for model in strategy.models)
    thresholds = [stage.threshold for stage in strategy.stages if stage.threshold is not None]
    entry = found(table, chain, thresholds, rule.caution)
    unnamed = replace(strategy, entry=entry)
    return replace(unnamed, id=unnamed.content_id())


def on(queries: tuple[LoggedQuery, ...], strategy: Strategy, scorer: Scorer, prices: PriceBook) -> str:
    """What it saves and answers rightly there."""
    report = replay(strategy, scorer, [q for q in queries if set(strategy.models) <= set(q.answers)], prices)
    return f"{report.saving or 0.0:.1%}, {report.quality:.4f}"


def held(told: HeldOut | None) -> str:
    """Saving and quality to the reference."""
    return "–" if told is None else f"{told.saving:.1%}, {told.quality_delta:+.4f}"
