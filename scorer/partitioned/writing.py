"""Writes a log into a folder of Parquet, a bounded number of rows in memory; the folder appears once it is whole.

Knows queries and the layout. What an answer cost is told by whoever calls.
"""

import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from scorer.errors import FolderUnreadable
from scorer.logline import LoggedAnswer, LoggedQuery, line_of
from scorer.partitioned.layout import (
    COLUMNS,
    FOLDS,
    LABELS,
    NANO,
    Manifest,
    Part,
    engine,
    place_of,
    sha256_of,
    share_of,
)

SHARDS = 16
_GROUP_ROWS = 100_000
_HELD_BYTES = 64_000_000  # of texts, over all files that are being written

Costing = Callable[[LoggedAnswer], int | None]
"""Nano-USD of an answer; None where its price is unknown."""


@contextmanager
def made_whole(out: Path) -> Iterator[Path]:
    """A folder that takes the name ``out`` when all went well, and is gone if not. Raises FolderUnreadable."""
    if out.exists():
        raise FolderUnreadable(str(out), "is there already; name another folder, or remove it")
    beside = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}")
    try:
        beside.mkdir(parents=True)
        yield beside
        beside.rename(out)
    except OSError as error:
        raise FolderUnreadable(str(out), f"cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def write_folder(
    out: Path,
    queries: Iterable[LoggedQuery],
    *,
    cost: Costing,
    prices: Mapping[str, str] | None = None,
    shards: int = SHARDS,
) -> Manifest:
    """Write queries as they come. prices : see ``Manifest``, for the models that are met.

    Raises FolderUnreadable if ``out`` is there or cannot be written, MissingExtra.
    """
    with writing(out, prices=prices, shards=shards) as writer:
        for query in queries:
            writer.add(query, {model: cost(logged) for model, logged in query.answers.items()})
    return writer.manifest


@contextmanager
def writing(out: Path, *, prices: Mapping[str, str] | None = None, shards: int = SHARDS) -> Iterator["Writer"]:
    """A writer whose folder appears when all went well; then it has a ``manifest``. See ``write_folder``."""
    engine()
    with made_whole(out) as folder:
        writer = Writer(folder, shards)
        yield writer
        writer.close(prices or {})


class Writer:
    """Takes query after query, and holds rows back until there are enough of them for a file's next group."""

    manifest: Manifest

    def __init__(self, folder: Path, shards: int) -> None:
        self._folder, self._shards, self._number = folder, shards, 0
        self._rows: dict[tuple[str | None, int], list[dict[str, Any]]] = {}
        self._sizes: dict[tuple[str | None, int], int] = {}
        self._counts: dict[tuple[str | None, int], list[int]] = {}
        self._files: dict[tuple[str | None, int], Any] = {}
        self._models: set[str] = set()

    def add(self, query: LoggedQuery, costs: Mapping[str, int | None]) -> None:
        """A query, and by model what its answers cost; unknown where there is nothing or None."""
        place = (query.split, share_of(query.hash, "shard") % self._shards)
        rows = list(rows_of(self._number, query, costs))
        self._number += 1
        self._models.update(row["model"] for row in rows)
        self._rows.setdefault(place, []).extend(rows)
        held = sum(len(row["asked"]) + len(row["answered"] or "") for row in rows)
        self._sizes[place] = self._sizes.get(place, 0) + held
        counts = self._counts.setdefault(place, [0, 0])
        counts[0], counts[1] = counts[0] + len(rows), counts[1] + 1
        if len(self._rows[place]) >= _GROUP_ROWS or sum(self._sizes.values()) > _HELD_BYTES:
            self._flush(max(self._sizes, key=lambda each: self._sizes[each]))

    def close(self, prices: Mapping[str, str]) -> None:
        """Write what is held back, and then the manifest."""
        for place in list(self._rows):
            self._flush(place)
        for file in self._files.values():
            file.close()
        ordered = sorted(self._counts, key=lambda place: (place[0] or "", place[1]))
        models = tuple(sorted(self._models))
        self.manifest = Manifest(
            shards=self._shards,
            models=models,
            parts=tuple(part_of(self._folder, *place, *self._counts[place]) for place in ordered),
            prices={model: prices[model] for model in models if model in prices},
        )
        self.manifest.dump(self._folder)

    def _flush(self, place: tuple[str | None, int]) -> None:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        from pyarrow import parquet as pq  # noqa: PLC0415

        rows, self._rows[place], self._sizes[place] = self._rows[place], [], 0
        if not rows:
            return
        table = pa.Table.from_pylist(rows, schema=arrow_schema())
        if place not in self._files:
            path = self._folder / place_of(*place)
            path.parent.mkdir(parents=True)
            self._files[place] = pq.ParquetWriter(path, table.schema, compression="zstd")
        self._files[place].write_table(table)


def part_of(folder: Path, split: str | None, shard: int, rows: int, queries: int) -> Part:
    """A file that has been written."""
    path = place_of(split, shard)
    size = (folder / path).stat().st_size
    digest = sha256_of(folder / path)
    return Part(path=path, split=split, shard=shard, rows=rows, queries=queries, bytes=size, sha256=digest)


def arrow_schema() -> Any:
    """The columns of every file."""
    import pyarrow as pa  # noqa: PLC0415 - an extra

    types = {"BIGINT": pa.int64(), "TINYINT": pa.int8(), "DOUBLE": pa.float64(), "VARCHAR": pa.string()}
    return pa.schema([(name, types[kind]) for name, kind in COLUMNS.items()])


def rows_of(number: int, query: LoggedQuery, costs: Mapping[str, int | None]) -> Iterator[dict[str, Any]]:
    """One row for each answer, labelled or not; for each label where labels alone were logged."""
    line = line_of(query)
    answers: Mapping[str, dict[str, Any]] = line.pop("answers", {})
    line.pop("labels", None)
    asked = orjson.dumps(line).decode()
    group = query.group or query.hash
    for model in query.answers or query.labels:
        logged, label = query.answers.get(model), query.labels.get(model)
        told = {key: value for key, value in answers.get(model, {}).items() if key != "quality"}
        qualities = query.qualities.get(model, {})
        yield {
            "query": number,
            "hash": query.hash,
            "dataset": query.dataset,
            "query_id": query.query.id,
            "conversation": query.group,
            "task": query.query.task,
            "fold": share_of(group, "fold") % FOLDS,
            "model": model,
            "quality_nano": None if label is None else round(label * NANO),
            **{column: qualities.get(source) for source, column in LABELS.items()},
            "prompt_tokens": None if logged is None else logged.usage.prompt_tokens,
            "completion_tokens": None if logged is None else logged.usage.completion_tokens,
            "cost_nanousd": costs.get(model),
            "asked": asked,
            "answered": None if logged is None else orjson.dumps(told).decode(),
        }
