"""Applies a scorer to every answer of a partitioned log and writes the scores beside them, as a folder of its own.

Knows scorers and the layout. Scores of queries that the scorer was trained on are out of fold, as everywhere.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router.errors import StrategyError
from router.offline.following import loaded
from router.offline.running import Runner
from router.optimize.search import Progress
from router.optimize.table import LogScorer
from router.strategy import Strategy
from scorer.dataset import LoggedQuery
from scorer.partitioned.layout import Manifest, Part, score_column, working_on
from scorer.partitioned.reading import batches, queries_of
from scorer.partitioned.writing import made_whole, part_of

Context = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring:
    """A file to score into another. models, contexts : whose answers, and beside which others (see ``Manifest``)."""

    source: Path
    folder: Path
    part: Part
    scorer: Path | LogScorer
    models: tuple[str, ...]
    contexts: tuple[Context, ...]


def contexts_of(strategy: Strategy) -> tuple[Context, ...]:
    """What a strategy's stages have beside them when they are judged."""
    return tuple(tuple(sorted(strategy.models[:stage])) for stage in range(max(1, len(strategy.stages) - 1)))


def contexts_up_to(models: Sequence[str], depth: int) -> tuple[Context, ...]:
    """What any chain of up to ``depth`` of these models needs: the last stage is judged by nobody.

    >>> contexts_up_to(["a", "b"], 3)
    ((), ('a',), ('b',))
    """
    sizes = range(max(1, depth - 1))
    return tuple(itertools.chain.from_iterable(itertools.combinations(sorted(models), size) for size in sizes))


def score_folder(
    folder: Path,
    out: Path,
    scorer: Path | LogScorer,
    runner: Runner,
    *,
    models: Sequence[str],
    contexts: Sequence[Context],
    progress: Progress | None = None,
) -> Manifest:
    """Write ``out``, equal to ``folder`` but for its scores. Raises StrategyError for a model that is not there."""
    manifest, judge = Manifest.load(folder), loaded(scorer)
    for model in models:
        if model not in manifest.models or model not in judge.models:
            where = "the data" if model in judge.models else "the scorer's training log"
            raise StrategyError(f"model {model!r}: has no answers in {where}")
    with made_whole(out) as made:
        tasks = [
            Scoring(
                source=(folder / part.path).absolute(),
                folder=made.absolute(),
                part=part,
                scorer=scorer,
                models=tuple(models),
                contexts=tuple(contexts),
            )
            for part in manifest.parts
        ]
        parts = runner.run(score_file, tasks, progress)
        scored = replace(
            manifest,
            parts=tuple(parts),
            scorer_version=judge.version,
            scored=tuple(sorted(models)),
            contexts=tuple(contexts),
        )
        scored.dump(made)
    return scored


def score_file(task: Scoring) -> Part:
    """Read, score and write one file, whole or not at all; done twice, it is the same file."""
    with working_on(task.source):
        _write_scored(task)
    part = task.part
    return part_of(task.folder, part.split, part.shard, part.rows, part.queries)


def _write_scored(task: Scoring) -> None:
    import pyarrow as pa  # noqa: PLC0415 - an extra
    from pyarrow import parquet as pq  # noqa: PLC0415

    part, source = task.part, pq.ParquetFile(task.source)
    scores = _scores(task, pq.read_table(task.source, columns=["query", "model"], partitioning=None))
    path = task.folder / part.path
    path.parent.mkdir(parents=True, exist_ok=True)
    beside, writer, done = path.with_suffix(".unfinished"), None, 0
    for group in range(source.num_row_groups):
        table = source.read_row_group(group)
        table = table.select([name for name in table.column_names if not name.startswith("score")])
        for place, values in enumerate(scores):
            piece = values[done : done + len(table)]
            table = table.append_column(score_column(place), pa.array(piece, mask=np.isnan(piece)))
        writer = writer or pq.ParquetWriter(beside, table.schema, compression="zstd")
        writer.write_table(table)
        done += len(table)
    if writer is not None:
        writer.close()
    beside.replace(path)


def _scores(task: Scoring, table: Any) -> list[NDArray[np.float64]]:
    """By context, the score of each row of the file; nan where there is none."""
    numbers, models = table["query"].to_numpy(), table["model"].to_pylist()
    starts = np.append(np.flatnonzero(np.diff(numbers, prepend=-1)), len(numbers))
    first = {int(numbers[start]): (int(start), int(end)) for start, end in itertools.pairwise(starts)}
    scorer = loaded(task.scorer)
    scores = [np.full(len(numbers), np.nan) for _ in task.contexts]
    for batch in batches(queries_of(task.source, task.part.split)):
        rows = [_rows(models, *first[number]) for number, _ in batch]
        for place, context in enumerate(task.contexts):
            for model in task.models:
                if model not in context:
                    _fill(scores[place], scorer, batch, rows, model, context)
    return scores


def _rows(models: Sequence[str], start: int, end: int) -> dict[str, int]:
    return {models[row]: row for row in range(start, end)}


def _fill(
    into: NDArray[np.float64],
    scorer: LogScorer,
    batch: Sequence[tuple[int, LoggedQuery]],
    rows: Sequence[dict[str, int]],
    model: str,
    context: Context,
) -> None:
    needed = {model, *context}
    whole = [
        (query, place[model]) for (_, query), place in zip(batch, rows, strict=True) if needed <= query.answers.keys()
    ]
    if whole:
        into[[row for _, row in whole]] = scorer.score_log([query for query, _ in whole], model, context)
