"""A sample stands for its folder: every stratum has its share of it, and the seed alone decides who is drawn."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from scorer.logline import LoggedQuery
from scorer.partitioned.sample import sampled
from scorer.partitioned.writing import write_folder
from tests.fakelog import fake_log


def stratum(query: LoggedQuery) -> tuple[object, ...]:
    return query.query.task, *sorted((model, label >= 0.5) for model, label in query.labels.items())


@pytest.fixture
def queries() -> list[LoggedQuery]:
    return [
        replace(query, query=replace(query.query, task="hard" if i % 3 else None))
        for i, query in enumerate(fake_log(400))
    ]


@pytest.fixture
def folder(tmp_path: Path, queries: list[LoggedQuery]) -> Path:
    write_folder(tmp_path / "log", [*queries, *fake_log(50, seed=9, split="dev")], cost=lambda _: 1, shards=3)
    return tmp_path / "log"


@pytest.mark.parametrize("size", [1, 37, 100, 399])
def test_every_stratum_has_its_share(folder: Path, queries: list[LoggedQuery], size: int) -> None:
    sample = sampled(folder, size, split="train")
    assert len(sample.queries) == len({query.query.id for query in sample.queries}) == size
    every, drawn = Counter(map(stratum, queries)), Counter(map(stratum, sample.queries))
    assert (sample.of, sample.strata) == (400, len(every))
    assert all(abs(drawn[each] - count * size / 400) < 1 for each, count in every.items())
    assert all(query in queries for query in sample.queries)


def test_the_seed_decides(folder: Path) -> None:
    one, same, other = (sampled(folder, 50, split="train", seed=seed) for seed in (1, 1, 2))
    assert one == same
    assert one.queries != other.queries


def test_a_small_folder_is_taken_whole(folder: Path) -> None:
    assert len(sampled(folder, 10_000).queries) == 450
    assert sampled(folder, 10, split="test").queries == ()
