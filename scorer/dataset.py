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

__all__ = ["Log", "LoggedAnswer", "LoggedQuery", "lines", "query_hash", "read_log", "write_log"]

_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """What was read: the queries in the order of the files, and how many bad lines were left out."""

    queries: tuple[LoggedQuery, ...]
    n_bad: int


def read_log(paths: Iterable[Path | str], *, split: str | None = None, skip_bad: bool = False) -> Log:
    """Read log files one after the other.

    split : keep only the queries of this split; None keeps all. Lines of other splits are checked all the same.
    skip_bad : count and leave out bad lines instead of raising.
    Raises BadLogLine at the first line that is not of the log format, LogUnreadable if a file cannot be read.
    """
    queries: list[LoggedQuery] = []
    n_bad = 0
    for path in paths:
        for number, line in lines(Path(path)):
            try:
                query = parse_line(line, str(path), number)
            except BadLogLine:
                if not skip_bad:
                    raise
                n_bad += 1
                continue
            if split is None or query.split == split:
                queries.append(query)
    return Log(queries=tuple(queries), n_bad=n_bad)


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
