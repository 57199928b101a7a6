"""How often queries are taken to be unlike a scorer's training queries, and what abstaining on them saves of quality.

Fitted on each set's train queries; the dev queries of all sets are asked about. Prints the table and the time of one
query. Asserted: on the same set no more than the stated rate, within three standard errors of both samples.
"""

import gzip
import math
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import orjson
import pytest

from router.optimize.bootstrap import interval, resampled_means
from router.optimize.carried import carry_out
from router.optimize.table import ScoreTable
from router.pricing import PriceBook
from router.strategy import Strategy
from scorer.answer import Query
from scorer.dataset import LoggedQuery, read_log
from scorer.familiarity import RATE, Familiarity
from scorer.scoring import Scorer
from tests.acceptance.served import spillway

pytestmark = [pytest.mark.evidence, pytest.mark.data, pytest.mark.timeout(1800)]

SETS = (
    *("zeroeval_gsm", "zeroeval_math_l5", "zeroeval_crux", "mmlu_pro", "routellm_gsm8k", "routellm_mtbench"),
    *("routellm_mmlu_labels", "llmdrift_prime", "llmdrift_happynumber"),
)
SHARING = ("zeroeval_gsm", "zeroeval_math_l5", "zeroeval_crux")  # nearly the same models answered them


def queries(folder: Path, name: str, split: str) -> list[tuple[Query, str]]:
    """The queries of a split and their conversations; no label is looked at."""
    with gzip.open(folder / f"{name}.jsonl.gz") as lines:
        chosen = [line for line in map(orjson.loads, lines) if line["split"] == split]
    return [
        (Query(id=line["query_id"], messages=tuple(line["messages"])), line.get("group") or line["query_id"])
        for line in chosen
    ]


def test_foreign_queries_are_told_from_familiar_ones(replay_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One row for each set that the detector was fitted on."""
    dev = {name: [query for query, _ in queries(replay_data, name, "dev")] for name in SETS}
    rows, spent = [], []
    for name in SETS:
        train = queries(replay_data, name, "train")
        known = Familiarity.fit([q for q, _ in train], [str(i) for i in range(len(train))], [g for _, g in train])
        shares = {}
        for other in SETS:
            began = time.thread_time()
            shares[other] = float(np.mean([known.doubt(query) is not None for query in dev[other]]))
            spent.append((time.thread_time() - began) / len(dev[other]))
        allowed = RATE * (1 - RATE) * (1 / len(train) + 1 / len(dev[name]))
        assert shares[name] <= max(RATE, 1 / len(train)) + 3 * math.sqrt(allowed), name
        shown = [f"**{share:.1%}**" if other == name else f"{share:.0%}" for other, share in shares.items()]
        rows.append(f"| {name} ({len(train)}) | " + " | ".join(shown) + " |")
    with capsys.disabled():
        print(f"\nTaken to be unlike at a rate of {RATE:.0%}; {np.median(spent) * 1e6:.0f} µs a query (median of sets)")
        print("| fitted on (train queries) | " + " | ".join(SETS) + " |")
        print("| --- |" + " --- |" * len(SETS))
        print("\n".join(rows))


def test_abstaining_keeps_the_quality_of_foreign_queries(
    replay_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A scorer and a strategy of one kind of task meet another kind, whose queries went into neither."""
    prices, rows = PriceBook.load(replay_data / "prices.json"), []
    logs = {name: read_log([replay_data / f"{name}.jsonl.gz"], split="train").queries for name in SHARING}
    for home in SHARING:
        files = ("--data", str(replay_data / f"{home}.jsonl.gz"), "--split", "train")
        spillway("train", *files, "--out", home, folder=tmp_path)
        asked = ("--prices", str(replay_data / "prices.json"), "--match-best", "--kind", "cascade_route")
        spillway("optimize", "--scorer", home, *files, *asked, "--out", f"{home}.json", folder=tmp_path)
        scorer, strategy = Scorer.load(tmp_path / home), Strategy.load(tmp_path / f"{home}.json")
        aways = (n for n in SHARING if n != home and set(strategy.models) <= logs[n][0].answers.keys())
        rows += [met(home, away, scorer, strategy, logs[away], prices) for away in aways]
    with capsys.disabled():
        print("\n| strategy of | queries of | unlike | safe model | cascade on all | abstaining: safe where unlike |")
        print("| --- | --- | --- | --- | --- | --- |")
        print("\n".join(rows))


def met(
    home: str, away: str, scorer: Scorer, strategy: Strategy, queries: Sequence[LoggedQuery], prices: PriceBook
) -> str:
    """Quality, its difference to the safe model's with its 95 % interval, and cost, with and without abstaining."""
    table = ScoreTable.build(queries, scorer, prices)
    safe = table.models.index(strategy.safe_model)
    unlike, played = scorer.doubts_log(queries), carry_out(table, strategy)
    quality, cost = table.quality[:, safe], table.cost_nanousd[:, safe].astype(np.float64)
    cells = [f"{quality.mean():.3f} at ${cost.mean() / 1e6:.2f}"]
    for where in (np.zeros(table.n, dtype=np.bool_), unlike):
        served = np.where(where, quality, played.quality)
        paid = np.where(where, cost, played.cost_nanousd)
        low, high = interval(resampled_means((served - quality)[:, None])[:, 0])
        cells.append(f"{served.mean():.3f} ({low:+.3f} … {high:+.3f}) at ${paid.mean() / 1e6:.2f}")
    return f"| {home} | {away} | {unlike.mean():.0%} | {' | '.join(cells)} |"
