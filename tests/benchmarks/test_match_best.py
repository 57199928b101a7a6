"""What a strategy that must match the best single model saves on real answers that nothing was fitted on.

Prints the table that the README quotes. Measured, not asserted: the figures are the result, whatever they are.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.served import spillway

pytestmark = [pytest.mark.evidence, pytest.mark.data, pytest.mark.timeout(3600)]

SETS = ("zeroeval_gsm", "zeroeval_math_l5", "zeroeval_crux", "mmlu_pro")


def test_match_best_on_the_dev_split(replay_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Train and optimise on the train split, replay on the dev split, one set after the other."""
    rows = []
    for name in SETS:
        log, prices = str(replay_data / f"{name}.jsonl.gz"), ("--prices", str(replay_data / "prices.json"))
        scorer, strategy = ("--scorer", f"{name}-scorer"), f"{name}.json"
        spillway("train", "--data", log, "--split", "train", "--out", scorer[1], folder=tmp_path)
        on_train = ("--data", log, "--split", "train", *prices, "--match-best", "--out", strategy)
        spillway("optimize", *scorer, *on_train, folder=tmp_path)
        on_dev = ("--data", log, "--split", "dev", *prices, "--json")
        replayed = json.loads(spillway("replay", "--strategy", strategy, *scorer, *on_dev, folder=tmp_path).stdout)
        assert replayed["n_queries"] > 0
        rows.append(row(name, replayed))
    with capsys.disabled():
        print("\n| set (dev queries) | reference | quality, reference → spillway | saving (95 %) | stages |")
        print("| --- | --- | --- | --- | --- |")
        print("\n".join(rows))


def row(name: str, replayed: dict[str, Any]) -> str:
    """One line of the table."""
    reference = replayed["reference"]
    low, high = replayed["saving_ci95"]
    worse, better = replayed["quality_delta_ci95"]
    return (
        f"| {name} ({replayed['n_queries']}) | {reference['model']}, ${reference['cost_usd_per_1k']:.2f} per 1k "
        f"| {reference['quality']:.3f} → {replayed['quality']:.3f} ({worse:+.3f} … {better:+.3f}) "
        f"| {replayed['saving']:.0%} ({low:.0%} … {high:.0%}) "
        f"| {' → '.join(stage['model'] for stage in replayed['stages'])} |"
    )
