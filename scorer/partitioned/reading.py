"""Reads a folder back as logged queries, a bounded number at a time, in the order in which they were written to a file.

Knows the layout and a line's fields. Opens one file at a time.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from scorer.errors import FolderUnreadable
from scorer.logline import LoggedQuery, parse_line
from scorer.partitioned.layout import LABELS, Manifest, engine, working_on

BATCH = 2_000
_READ = ("query", "model", "asked", "answered", *LABELS.values())


def read_folder(folder: Path, *, split: str | None = None) -> Iterator[LoggedQuery]:
    """Every query of a split, file by file. Answers that nobody labelled are left out: see ``queries_of``.

    Raises FolderUnreadable.
    """
    for part in Manifest.load(folder).of_split(split):
        for _, query in queries_of(folder / part.path, part.split):
            yield query


def queries_of(
    path: Path, split: str | None, wanted: frozenset[int] | None = None
) -> Iterator[tuple[int, LoggedQuery]]:
    """The queries of one file with their numbers. wanted : only these numbers; None: all.

    An answer without a label is left out, and a query without any labelled answer. Raises FolderUnreadable.
    """
    engine()
    from pyarrow import parquet as pq  # noqa: PLC0415 - an extra

    held: list[dict[str, Any]] = []
    with working_on(path):
        for batch in pq.ParquetFile(path).iter_batches(batch_size=20_000, columns=list(_READ)):
            for row in batch.to_pylist():
                if wanted is not None and row["query"] not in wanted:
                    continue
                if held and row["query"] != held[0]["query"]:
                    yield from _query(held, split, path)
                    held = []
                held.append(row)
        if held:
            yield from _query(held, split, path)


def batches(queries: Iterator[tuple[int, LoggedQuery]], size: int = BATCH) -> Iterator[list[tuple[int, LoggedQuery]]]:
    """Some at a time."""
    held: list[tuple[int, LoggedQuery]] = []
    for query in queries:
        held.append(query)
        if len(held) == size:
            yield held
            held = []
    if held:
        yield held


def _query(rows: Sequence[Mapping[str, Any]], split: str | None, path: Path) -> Iterator[tuple[int, LoggedQuery]]:
    number = rows[0]["query"]
    if rows[0]["asked"] is None:
        raise FolderUnreadable(str(path), f"query {number} has no texts (asked): it can be replayed, not scored")
    labelled = [(row, label) for row in rows if (label := _label(row)) is not None]
    if not labelled:
        return
    line = orjson.loads(rows[0]["asked"])
    if labelled[0][0]["answered"] is None:
        line["labels"] = {row["model"]: label for row, label in labelled}
    else:
        line["answers"] = {row["model"]: orjson.loads(row["answered"]) | {"quality": label} for row, label in labelled}
    line["split"] = split
    yield number, parse_line(orjson.dumps(line), str(path), number)


def _label(row: Mapping[str, Any]) -> Any:
    """As a line has it: by source where sources are named."""
    given = {source: row[column] for source, column in LABELS.items() if row[column] is not None}
    if not given:
        return None
    unnamed = given.pop("unnamed", None)
    if not given:
        return unnamed
    return {source: [said, said] if source == "judge" else said for source, said in given.items()}
