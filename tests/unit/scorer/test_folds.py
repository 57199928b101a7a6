"""Folds: what belongs together stays together, the rest is spread evenly and the same way each time."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer.errors import TooLittleData
from scorer.folds import assign_folds
from tests.unit.scorer import synthetic

QUERIES = synthetic.log(60)


@given(st.permutations(range(60)))
def test_a_query_has_its_fold_wherever_it_stands(order: list[int]) -> None:
    shuffled = [QUERIES[index] for index in order]
    assert assign_folds(shuffled).tolist() == assign_folds(QUERIES)[order].tolist()


@given(st.lists(st.integers(0, 12), min_size=60, max_size=60))
def test_groups_and_equal_queries_are_never_parted(groups: list[int]) -> None:
    queries = [replace(query, group=f"g{g}" if g else None) for query, g in zip(QUERIES, groups, strict=True)]
    queries += queries[:7]
    folds = assign_folds(queries)
    assert folds[60:].tolist() == folds[:7].tolist()
    for g in set(groups) - {0}:
        assert len({int(fold) for fold, query in zip(folds, queries, strict=True) if query.group == f"g{g}"}) == 1


def test_folds_are_of_one_size() -> None:
    sizes = np.bincount(assign_folds(QUERIES))
    assert sizes.tolist() == [12] * 5


def test_groups_of_different_data_sets_are_different() -> None:
    queries = [replace(query, group="g", dataset=f"d{index}") for index, query in enumerate(QUERIES)]
    assert len(set(assign_folds(queries).tolist())) == 5


def test_too_few_queries_are_said() -> None:
    with pytest.raises(TooLittleData, match="at least 10 different queries"):
        assign_folds(QUERIES[:9])
    with pytest.raises(TooLittleData, match="not 1"):
        assign_folds([replace(query, group="one") for query in QUERIES])
