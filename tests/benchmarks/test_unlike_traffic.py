"""How often queries are taken to be unlike a scorer's training queries: of the same set, and of every other set.

Fitted on each set's train queries; the dev queries of all sets are asked about. Prints the table and the time of one
query. Asserted: on the same set no more than the stated rate, within three standard errors of both samples.
"""

import gzip
import math
import time
from pathlib import Path

import numpy as np
import orjson
import pytest

from scorer.answer import Query
from scorer.familiarity import RATE, Familiarity

pytestmark = [pytest.mark.evidence, pytest.mark.data, pytest.mark.timeout(1800)]

SETS = (
    *("zeroeval_gsm", "zeroeval_math_l5", "zeroeval_crux", "mmlu_pro", "routellm_gsm8k", "routellm_mtbench"),
    *("routellm_mmlu_labels", "llmdrift_prime", "llmdrift_happynumber"),
)


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
