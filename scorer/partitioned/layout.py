"""How a log stands in a folder: one row a logged answer, files by split and shard, and a manifest that counts them.

Knows columns, names and the manifest. Knows no query and writes no row.

A query's rows stand in one file, one after the other; which shard is told by its hash, so each file can be worked on by
itself. The manifest is written last: a folder without one, or whose files are not as it says, is refused.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Self

from scorer.errors import FolderUnreadable, MissingExtra
from scorer.logline import SOURCES, UNNAMED

FORMAT = 1
MANIFEST = "manifest.json"
NO_SPLIT = "__HIVE_DEFAULT_PARTITION__"
"""Where hive's readers find rows without a split."""

NANO = 1_000_000_000
FOLDS = 5
LABELS: Mapping[str, str] = {source: f"label_{source}" for source in (*SOURCES, UNNAMED)}
"""By source of a label, its column; the strongest first."""

COLUMNS: Mapping[str, str] = {
    "query": "BIGINT",  # a number of its own for each line of the log
    "hash": "VARCHAR",
    "dataset": "VARCHAR",
    "query_id": "VARCHAR",
    "conversation": "VARCHAR",
    "task": "VARCHAR",
    "fold": "TINYINT",  # queries of one conversation have the same
    "model": "VARCHAR",
    "quality_nano": "BIGINT",  # in units of 1e-9, so that sums are exact; null where nothing is known
    **dict.fromkeys(LABELS.values(), "DOUBLE"),
    "prompt_tokens": "BIGINT",
    "completion_tokens": "BIGINT",
    "cost_nanousd": "BIGINT",  # null where the price is unknown
    "asked": "VARCHAR",  # the line without its answers, JSON
    "answered": "VARCHAR",  # the answer without its quality, JSON; null where labels alone were logged
}
"""Of every file, with DuckDB's names of types. Scores come after them: see ``score_column``."""


def score_column(place: int) -> str:
    """Scores of answers beside those of the models of the manifest's ``contexts[place]``.

    >>> score_column(0), score_column(3)
    ('score', 'score_beside_3')
    """
    return "score" if place == 0 else f"score_beside_{place}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One file. path : below the folder."""

    path: str
    split: str | None
    shard: int
    rows: int
    queries: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a folder holds. models : every one that answered, by name.

    prices : by model, the version of the price that its costs were counted with.
    scored, contexts : the models whose answers have been scored, and beside which others: sets of models, sorted, the
    first the empty one; of each there is a column.
    """

    shards: int
    models: tuple[str, ...]
    parts: tuple[Part, ...]
    prices: Mapping[str, str] = field(default_factory=dict)
    scorer_version: str | None = None
    scored: tuple[str, ...] = ()
    contexts: tuple[tuple[str, ...], ...] = ()

    @property
    def rows(self) -> int:
        """Of all files."""
        return sum(part.rows for part in self.parts)

    @property
    def queries(self) -> int:
        """Of all files."""
        return sum(part.queries for part in self.parts)

    def of_split(self, split: str | None) -> tuple[Part, ...]:
        """The files of one split; None: all."""
        return tuple(part for part in self.parts if split is None or part.split == split)

    def score_of(self, model: str, beside: Sequence[str]) -> str | None:
        """The column of a model's scores beside these, None where they were not computed."""
        context = tuple(sorted(beside))
        if model in context or model not in self.scored or context not in self.contexts:
            return None
        return score_column(self.contexts.index(context))

    def dump(self, folder: Path) -> None:
        """Write it; nothing is written after it."""
        content = {"format": FORMAT, "rows": self.rows, "queries": self.queries, **asdict(self)}
        (folder / MANIFEST).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read and hold it against the files' sizes. Raises FolderUnreadable saying what is missing or torn."""
        try:
            content = json.loads((folder / MANIFEST).read_bytes())
        except FileNotFoundError:
            said = f"has no {MANIFEST}: it is no partitioned log, or was never finished; write it again"
            raise FolderUnreadable(str(folder), said) from None
        except (OSError, ValueError) as error:
            raise FolderUnreadable(str(folder), f"{MANIFEST} cannot be read: {error}") from error
        try:
            manifest = cls._of(content)
            manifest.check_sizes(folder, content)
        except (KeyError, TypeError, ValueError) as error:
            said = f"{MANIFEST} is not what version {FORMAT} writes ({error!r}); write the folder again"
            raise FolderUnreadable(str(folder), said) from error
        return manifest

    @classmethod
    def _of(cls, content: dict[str, Any]) -> Self:
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']}")
        return cls(
            shards=int(content["shards"]),
            models=tuple(content["models"]),
            parts=tuple(Part(**part) for part in content["parts"]),
            prices=dict(content["prices"]),
            scorer_version=content["scorer_version"],
            scored=tuple(content["scored"]),
            contexts=tuple(tuple(context) for context in content["contexts"]),
        )

    def check_sizes(self, folder: Path, content: Mapping[str, Any]) -> None:
        """Raises FolderUnreadable where counts do not add up, or a file is missing or of another size."""
        if (self.rows, self.queries) != (content.get("rows"), content.get("queries")):
            raise FolderUnreadable(str(folder), f"{MANIFEST}: the files' counts do not add up to its own")
        for part in self.parts:
            path = folder / part.path
            found = path.stat().st_size if path.is_file() else None
            if found != part.bytes:
                said = "is missing" if found is None else f"has {found} bytes instead of {part.bytes}"
                raise FolderUnreadable(str(folder), f"{part.path} {said}: the folder is torn; write it again")

    def verify(self, folder: Path) -> None:
        """Hold every file's content against its hash, which reads all of it. Raises FolderUnreadable."""
        for part in self.parts:
            if sha256_of(folder / part.path) != part.sha256:
                raise FolderUnreadable(str(folder), f"{part.path} is not what was written: its hash differs")


def is_partitioned(path: Path) -> bool:
    """Whether a path is a folder, finished or not; a log is a file."""
    return path.is_dir()


def place_of(split: str | None, shard: int) -> str:
    """Where a file stands below the folder, as hive has it.

    >>> place_of("train", 7), place_of(None, 0)
    ('split=train/shard=7/answers.parquet', 'split=__HIVE_DEFAULT_PARTITION__/shard=0/answers.parquet')
    """
    safe = NO_SPLIT if split is None else "".join(c if c.isalnum() or c in "-_." else f"%{ord(c):02X}" for c in split)
    return f"split={safe}/shard={shard}/answers.parquet"


def share_of(name: str, kind: str) -> int:
    """A large number told by a name alone: for shards and folds, independently by ``kind``."""
    return int.from_bytes(hashlib.sha256(f"{kind}\0{name}".encode()).digest()[:8], "big")


def sha256_of(path: Path) -> str:
    """Of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def engine() -> ModuleType:
    """DuckDB. Raises MissingExtra."""
    try:
        import duckdb  # noqa: PLC0415 - an extra, for those who have Parquet
        import pyarrow as pa  # noqa: F401, PLC0415
    except ImportError:
        raise MissingExtra("Parquet needs the packages pyarrow and duckdb: pip install 'spillway[parquet]'") from None
    return duckdb


@contextmanager
def working_on(path: Path) -> Iterator[None]:
    """While a file is read: what its readers make of damage is said in words. Raises FolderUnreadable, MissingExtra."""
    duckdb = engine()
    import pyarrow as pa  # noqa: PLC0415 - an extra

    try:
        yield
    except (duckdb.Error, pa.ArrowException, OSError, json.JSONDecodeError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise FolderUnreadable(str(path), f"{said}; `spillway shards check` tells whether it was changed") from error
