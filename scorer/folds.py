"""Which queries are fitted together and which are held out: folds by conversation, balanced, the same on every machine.

Knows hashes and groups. Knows no label and no feature.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scorer.dataset import LoggedQuery
from scorer.errors import TooLittleData

N_FOLDS = 5
LEAST_UNITS = 2 * N_FOLDS


def assign_folds(queries: Sequence[LoggedQuery], n_folds: int = N_FOLDS) -> NDArray[np.int64]:
    """(n,) fold of each query.

    Queries that are asked in the same words, or belong to one group of a data set, are one unit and share a fold. Units
    are dealt out in the order of their hashes, the largest first, always to the smallest fold.
    Raises TooLittleData if there are fewer than ten units.
    """
    units = _units(queries)
    members: dict[int, list[int]] = {}
    for index, unit in enumerate(units):
        members.setdefault(unit, []).append(index)
    if len(members) < LEAST_UNITS:
        raise TooLittleData(
            f"a scorer needs answers to at least {LEAST_UNITS} different queries (or conversations), not {len(members)}"
        )
    order = sorted(members.values(), key=lambda rows: (-len(rows), _mixed(min(queries[row].hash for row in rows))))
    folds = np.empty(len(queries), dtype=np.int64)
    sizes = [0] * n_folds
    for rows in order:
        smallest = sizes.index(min(sizes))
        folds[rows] = smallest
        sizes[smallest] += len(rows)
    return folds


def _mixed(query_hash: str) -> str:
    return hashlib.sha256(f"fold {query_hash}".encode()).hexdigest()


def _units(queries: Sequence[LoggedQuery]) -> list[int]:
    """For each query the least index of a query that it is tied to, by equal hash or equal group."""
    parent = list(range(len(queries)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    first: dict[tuple[str, ...], int] = {}
    for index, query in enumerate(queries):
        keys: list[tuple[str, ...]] = [("hash", query.hash)]
        if query.group is not None:
            keys.append(("group", query.dataset, query.group))
        for key in keys:
            one, other = root(index), root(first.setdefault(key, index))
            parent[max(one, other)] = min(one, other)
    return [root(index) for index in range(len(queries))]
