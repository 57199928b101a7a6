"""Logged answers with quality labels: what a log holds, read and written.

Knows the log's shape as a whole (gzip or plain JSONL, one query a line) and how a query is recognised again.
Knows nothing of a line's fields (``logline``), no feature and no model.
"""

import gzip
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import orjson

from scorer.errors import BadLogLine, LogUnreadable
from scorer.logline import LoggedAnswer, LoggedQuery, line_of, parse_line, query_hash
from scorer.partitioned.reading import read_folder

__all__ = ["Log", "LoggedAnswer", "LoggedQuery", "Reading", "lines", "query_hash", "read_log", "write_log"]

_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """What was read: the queries in the order of the files, and how many bad lines were left out."""

    queries: tuple[LoggedQuery, ...]
    n_bad: int


class Reading:
    """Reads logs one after the other, one query at a time; ``n_bad`` counts the bad lines that were left out so far.

    paths : files, or folders of Parquet (see ``scorer.partitioned``).
    split : keep only the queries of this split; None keeps all. Lines of other splits are checked all the same.
    skip_bad : count and leave out bad lines instead of raising.
    Iterating raises BadLogLine at the first line that is not of the log format, LogUnreadable or FolderUnreadable if
    something cannot be read.
    """

    def __init__(self, paths: Iterable[Path | str], *, split: str | None = None, skip_bad: bool = False) -> None:
        self._paths, self._split, self._skip_bad = tuple(map(Path, paths)), split, skip_bad
        self.n_bad = 0

    def __iter__(self) -> Iterator[LoggedQuery]:
        for path in self._paths:
            yield from read_folder(path, split=self._split) if path.is_dir() else self._file(path)

    def _file(self, path: Path) -> Iterator[LoggedQuery]:
        for number, line in lines(path):
            try:
                query = parse_line(line, str(path), number)
            except BadLogLine:
                if not self._skip_bad:
                    raise
                self.n_bad += 1
                continue
            if self._split is None or query.split == self._split:
                yield query


def read_log(paths: Iterable[Path | str], *, split: str | None = None, skip_bad: bool = False) -> Log:
    """Everything that ``Reading`` reads, at once."""
    reading = Reading(paths, split=split, skip_bad=skip_bad)
    return Log(queries=tuple(reading), n_bad=reading.n_bad)


def write_log(path: Path | str, queries: Iterable[LoggedQuery]) -> int:
    """Write queries in the log format, gzipped if the name ends in ``.gz``; returns how many.

    ``read_log`` gives back equal queries. The same queries give the same bytes (no time stamp in the gzip header).
    """
    path = Path(path)
    payload = [orjson.dumps(line_of(query)) + b"\n" for query in queries]
    data = b"".join(payload)
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return len(payload)


def _open(path: Path) -> IO[bytes]:
    try:
        handle = path.open("rb")
    except OSError as error:
        raise LogUnreadable(str(path), error.strerror or str(error)) from error
    with handle:
        gzipped = handle.read(2) == _GZIP_MAGIC
    return cast("IO[bytes]", gzip.open(path, "rb")) if gzipped else path.open("rb")


def lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines of a file that are not blank, gzipped or not, with their numbers. Raises LogUnreadable."""
    number = 0
    with _open(path) as handle:
        try:
            for number, line in enumerate(handle, start=1):
                content = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
                if content.strip():
                    yield number, content
        except (EOFError, OSError, zlib.error) as error:
            raise LogUnreadable(str(path), f"damaged after line {number}: {error}") from error
