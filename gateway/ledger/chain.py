"""The hash chain of one writer: every commit is a link over its rows and the link before.

A link's manifest names each row and holds a digest of it, so that a changed, removed or added row is found by name; its
hash covers the manifest and the hash before, so that no manifest can be changed or removed without a trace.
Knows digests and numbers. Knows no statement.
"""

import hashlib
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson
from sqlalchemy import Table

from gateway.ledger.tables import (
    attempts,
    checkpoints,
    closings,
    corrections,
    entries,
    kept_days,
    line_items,
    requests,
    settlements,
)

NOTHING_BEFORE = bytes(32)
_POSITIONS = 2**36  # links of one writer: a thousand a second for two years

_CODES: Mapping[str, str] = {
    requests.name: "r",
    closings.name: "c",
    attempts.name: "a",
    settlements.name: "s",
    line_items.name: "l",
    corrections.name: "k",
    entries.name: "e",
    checkpoints.name: "p",
    kept_days.name: "d",
}
SCRUBBED = "~"
"""Behind a table's name: what is left of a row of it, from which details were dropped later."""

_NAMES = {code: name for name, code in _CODES.items()} | {
    code.upper(): name + SCRUBBED for name, code in _CODES.items()
}
_BESIDE = frozenset({"link", "scrubbed"})  # columns that say where a row's digest stands, and are in none
_KEYS = {
    table.name: tuple(column.name for column in table.primary_key if column.name != "month")
    for table in (requests, closings, attempts, settlements, line_items, corrections, entries, checkpoints, kept_days)
}

Listed = Iterable[tuple[Table, Sequence[Mapping[str, Any]]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One commit: ``number`` says whose and which, ``digests`` maps (table, key) to the digest of that row."""

    number: int
    previous: bytes
    hash: bytes
    manifest: bytes
    rows: int


def link_number(writer_number: int, position: int) -> int:
    """Of a writer's link; positions count from 1."""
    return writer_number * _POSITIONS + position


def writer_and_position(number: int) -> tuple[int, int]:
    """The writer's number and the position of its link.

    >>> writer_and_position(link_number(3, 7))
    (3, 7)
    """
    return divmod(number, _POSITIONS)


def forge(number: int, previous: bytes, rows: Listed, left: Listed = ()) -> Link:
    """The link over these rows, which come after ``previous``.   left : rows as they are after a scrub."""
    lines = [
        *(_line(_CODES[table.name], table, row) for table, listed in rows for row in listed),
        *(_line(_CODES[table.name].upper(), table, row) for table, listed in left for row in listed),
    ]
    manifest = "\n".join(lines).encode()
    return Link(
        number=number,
        previous=previous,
        hash=link_hash(number, previous, manifest),
        manifest=zlib.compress(manifest, 1),
        rows=len(lines),
    )


def _line(code: str, table: Table, row: Mapping[str, Any]) -> str:
    return f"{code}:{key_of(table, row)}:{digest_of(row)}"


def link_hash(number: int, previous: bytes, manifest: bytes) -> bytes:
    """Of a link with this (inflated) manifest."""
    return hashlib.sha256(previous + number.to_bytes(8, "big") + manifest).digest()


def inflate(manifest: bytes) -> bytes:
    """A stored manifest as it was hashed. Raises ValueError where it is damaged."""
    try:
        return zlib.decompress(manifest)
    except zlib.error as error:
        raise ValueError("the manifest is damaged") from error


def digests(manifest: bytes) -> dict[tuple[str, str], str]:
    """(table, key) -> digest, for each row in an inflated manifest."""
    found = {}
    for line in manifest.decode().splitlines():
        code, rest = line.split(":", 1)
        key, _, digest = rest.rpartition(":")
        found[_NAMES[code], key] = digest
    return found


def key_of(table: Table, row: Mapping[str, Any]) -> str:
    """The row's key within its table, without the month that follows from it."""
    return ":".join(str(row[name]) for name in _KEYS[table.name])


def digest_of(row: Mapping[str, Any]) -> str:
    """Of a row's content, on both engines the same. A column that is NULL counts as not there: new ones may come."""
    content = {name: _plain(value) for name, value in row.items() if value is not None and name not in _BESIDE}
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):  # 0.10 and 0.1 are one rate
        return format(value.normalize(), "f") if value else "0"
    return value
