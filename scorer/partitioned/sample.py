"""Draws some of a folder's queries that stand for all: strata by category, models and which of them were right.

Knows the layout. Reads the texts of what was drawn only.

Queries are put in the order of their strata, within each by a hash of the seed, and taken at even steps. So each
stratum gives its share of the sample to within one query, however many there are, and no weights are needed afterwards.
"""

from dataclasses import dataclass
from pathlib import Path

from scorer.logline import LoggedQuery
from scorer.partitioned.layout import NANO, Manifest, engine, working_on
from scorer.partitioned.reading import queries_of

USUAL = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """queries : in the order of the files.   of : how many there were.   strata : how many of them."""

    queries: tuple[LoggedQuery, ...]
    of: int
    strata: int


def sampled(folder: Path, size: int, *, split: str | None = None, seed: int = 0) -> Sample:
    """At most ``size`` labelled queries of a split. Raises FolderUnreadable, MissingExtra."""
    manifest = Manifest.load(folder)
    parts = manifest.of_split(split)
    if not parts:
        return Sample(queries=(), of=0, strata=0)
    with working_on(folder), engine().connect(":memory:") as database:
        files = [str(folder / part.path) for part in parts]
        strata, of = database.execute(
            f"SELECT count(DISTINCT {_STRATUM}), count(*) FROM ({_each(manifest)})", [files]
        ).fetchall()[0]
        drawn = database.execute(
            f"SELECT query FROM (SELECT query, row_number() OVER (ORDER BY category, asked, good, "
            f"hash(query_hash, {int(seed)}), query) - 1 AS place FROM ({_each(manifest)})) "
            "WHERE (place + 1) * $2 // $3 > place * $2 // $3",
            [files, min(size, of), max(of, 1)],
        ).fetchall()
    wanted = frozenset(int(row[0]) for row in drawn)
    chosen = (query for part in parts for _, query in queries_of(folder / part.path, part.split, wanted))
    return Sample(queries=tuple(chosen), of=int(of), strata=int(strata))


_STRATUM = "(category, asked, good)"


def _each(manifest: Manifest) -> str:
    """A row a query: its category, and as sums of powers of two which models have a label and which were right."""
    quoted = (model.replace("'", "''") for model in manifest.models)
    powers = " ".join(f"WHEN '{model}' THEN {2**place}" for place, model in enumerate(quoted))
    power = f"(CASE model {powers} END)::HUGEINT"
    return (
        "SELECT query, any_value(hash) AS query_hash, any_value(coalesce(task, dataset)) AS category, "
        f"sum({power}) AS asked, sum({power}) FILTER (WHERE quality_nano >= {NANO // 2}) AS good "
        "FROM read_parquet($1, hive_partitioning = false) WHERE quality_nano IS NOT NULL GROUP BY query"
    )
