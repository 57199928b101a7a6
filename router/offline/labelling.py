"""Joins labels that came later onto the answers of a partitioned log, and writes them as a folder of its own.

Knows a file of labels and the layout. Of several labels of an answer the strongest source counts, as everywhere.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from router.errors import StrategyError
from router.offline.running import Runner
from router.offline.wide import Reading, connected, literal, source_of
from router.optimize.search import Progress
from scorer.logline import SOURCES
from scorer.partitioned.layout import LABELS, NANO, Manifest, Part, engine, working_on
from scorer.partitioned.writing import made_whole, part_of

_READERS = {".csv": "read_csv", ".parquet": "read_parquet", ".jsonl": "read_json", ".gz": "read_json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelling:
    """A file to label into another. labels : rows of query_id, model, source and quality."""

    source: Path
    folder: Path
    part: Part
    labels: Path
    reading: Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """A file that was written, and how many labels met an answer in it."""

    part: Part
    labels: int


def label_folder(
    folder: Path, out: Path, labels: Path, runner: Runner, *, progress: Progress | None = None
) -> tuple[Manifest, int, int]:
    """Write ``out``, equal to ``folder`` but for its labels; how many labels there were, and how many met an answer.

    labels : CSV, JSON lines or Parquet. Raises StrategyError naming what is wrong with it.
    """
    manifest, given = Manifest.load(folder), _checked(labels)
    with made_whole(out) as made:
        tasks = [
            Labelling(
                source=(folder / part.path).absolute(),
                folder=made.absolute(),
                part=part,
                labels=labels.absolute(),
                reading=Reading(threads=runner.threads),
            )
            for part in manifest.parts
        ]
        done = runner.run(label_file, tasks, progress)
        labelled = replace(manifest, parts=tuple(each.part for each in done))
        labelled.dump(made)
    return labelled, given, sum(each.labels for each in done)


def label_file(task: Labelling) -> Labelled:
    """Read, join and write one file, whole or not at all; done twice, it is the same file."""
    part, path = task.part, task.folder / task.part.path
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".unfinished")
    given = ", ".join(f"max(quality) FILTER (WHERE source = {literal(s)}) AS new_{s}" for s in SOURCES)
    new = {LABELS[source]: f"coalesce(new_{source}, {LABELS[source]})" for source in SOURCES}
    strongest = ", ".join([*new.values(), LABELS["unnamed"]])
    told = ", ".join(f"{value} AS {column}" for column, value in new.items())
    quality = f"round(coalesce({strongest}) * {NANO})::BIGINT AS quality_nano"
    with working_on(task.source), connected(task.reading) as database:
        database.execute(
            f"CREATE TABLE given AS SELECT query_id, model, {given}, count(*) AS n FROM {_table(task.labels)} "
            "GROUP BY query_id, model"
        )
        rows = f"(SELECT *, file_row_number AS place FROM {source_of(task.source)[:-1]}, file_row_number = true))"
        met = f"SELECT coalesce(sum(n), 0) FROM {source_of(task.source)} JOIN given USING (query_id, model)"
        labels = int(database.execute(met).fetchall()[0][0])
        database.execute(
            f"COPY (SELECT * EXCLUDE (place, file_row_number, n, {', '.join(f'new_{s}' for s in SOURCES)}) "
            f"REPLACE ({told}, {quality}) FROM {rows} LEFT JOIN given USING (query_id, model) ORDER BY place) "
            f"TO {literal(str(beside))} (FORMAT parquet, COMPRESSION zstd)"
        )
    beside.replace(path)
    return Labelled(part=part_of(task.folder, part.split, part.shard, part.rows, part.queries), labels=labels)


def _table(labels: Path) -> str:
    """The labels as a table of the four columns."""
    reader = _READERS.get(labels.suffix)
    if reader is None:
        raise StrategyError(f"{labels}: must end in {', '.join(_READERS)}")
    columns = "query_id::VARCHAR AS query_id, model::VARCHAR AS model, source, quality::DOUBLE AS quality"
    return f"(SELECT {columns} FROM {reader}({literal(str(labels))}))"


def _checked(labels: Path) -> int:
    """How many there are. Raises StrategyError."""
    duckdb = engine()
    known = ", ".join(map(literal, SOURCES))
    with connected(Reading()) as database:
        try:
            total, unknown, outside, twice = database.execute(
                f"SELECT count(*), count(*) FILTER (WHERE source IS NULL OR source NOT IN ({known})), count(*) FILTER "
                "(WHERE quality IS NULL OR NOT quality BETWEEN 0 AND 1), "
                f"count(*) - count(DISTINCT (query_id, model, source)) FROM {_table(labels)}"
            ).fetchall()[0]
        except duckdb.Error as error:
            said = f"{labels}: must have query_id, model, source and quality: {str(error).splitlines()[0]}"
            raise StrategyError(said) from None
    if unknown:
        raise StrategyError(f"{labels}: source of {unknown} labels must be one of {', '.join(SOURCES)}")
    if outside:
        raise StrategyError(f"{labels}: quality of {outside} labels must be from 0 to 1")
    if twice:
        raise StrategyError(f"{labels}: {twice} labels are a second one of the same answer and source")
    return int(total)
