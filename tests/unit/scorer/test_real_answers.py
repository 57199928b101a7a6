"""On logged answers of real models: conclusions are read as their graders read them, and scores tell good from bad."""

from collections import defaultdict
from pathlib import Path

import pytest

from scorer.dataset import LoggedQuery, read_log
from scorer.features.analysis import analyse
from scorer.features.query import read_query
from scorer.training import train

pytestmark = pytest.mark.data


def some(folder: Path, name: str, n: int) -> tuple[LoggedQuery, ...]:
    return read_log([folder / f"{name}.jsonl.gz"], split="train").queries[:n]


@pytest.mark.parametrize("name", ["zeroeval_gsm", "zeroeval_math_l5", "zeroeval_crux", "mmlu_pro", "llmdrift_prime"])
def test_answers_that_conclude_the_same_have_the_same_label(replay_data: Path, name: str) -> None:
    groups = mixed = concluded = answers = 0
    for query in some(replay_data, name, 60):
        reading = read_query(query.query)
        labels: dict[str, list[float]] = defaultdict(list)
        for entry in query.answers.values():
            conclusion = analyse(reading, entry.answer).conclusion
            answers += 1
            if conclusion is not None:
                concluded += 1
                labels[conclusion].append(entry.quality)
        several = [group for group in labels.values() if len(group) > 1]
        groups += len(several)
        mixed += sum(len(set(group)) > 1 for group in several)
    assert concluded > 0.9 * answers
    assert mixed <= 0.04 * groups


def test_scores_tell_good_from_bad_and_company_helps(replay_data: Path) -> None:
    report = train(some(replay_data, "zeroeval_gsm", 200), kinds=("linear",)).report["out_of_fold"]
    assert report["alone"]["overall"]["auroc"] > 0.65
    assert report["together"]["overall"]["auroc"] > 0.85
    assert report["together"]["overall"]["ece"] < 0.03
