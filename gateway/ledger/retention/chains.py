"""Where each writer's chain is to begin when older months are gone: the checkpoints.

A link goes if it was committed before the month and names no row of it or later. What goes is checked on the way:
nothing is dropped of a chain that is not whole.
Reads links and sums. Drops nothing.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.database import DatabaseError
from gateway.ledger.chain import NOTHING_BEFORE, inflate, link_hash, link_number, writer_and_position
from gateway.ledger.tables import attempts, checkpoints, corrections, links, settlements
from router.ids import month_of

_PAGE = 200
Row = dict[str, Any]


class NotAsWritten(DatabaseError):
    """What is to be dropped was changed: it stays, as evidence."""


@dataclass(slots=True, kw_only=True)
class _Chain:
    """How far one writer's chain goes."""

    through: int
    hash: bytes
    links: int = 0
    ended: bool = False  # at a link that stays


async def new_checkpoints(connection: AsyncConnection, before: int) -> list[Row]:
    """One row for each writer that lost links before or loses some now. Raises NotAsWritten."""
    older = {row["writer_number"]: row for row in await _newest(connection)}
    chains = {
        number: _Chain(through=row["through"], hash=bytes.fromhex(row["hash"]), links=row["links"])
        for number, row in older.items()
    }
    await _follow(connection, before, chains)
    opened, spent = await _sums(connection, before)
    rows = []
    for number, chain in sorted(chains.items()):
        if not chain.links:
            continue
        known = older.get(number, {"attempts": 0, "spent_nanousd": 0})
        rows.append(
            {
                "writer_number": number,
                "before_month": before,
                "through": chain.through,
                "hash": chain.hash.hex(),
                "links": chain.links,
                "attempts": known["attempts"] + opened.get(number, 0),
                "spent_nanousd": known["spent_nanousd"] + spent.get(number, 0),
                "made_us": time.time_ns() // 1000,
            }
        )
    return rows


async def _newest(connection: AsyncConnection) -> list[Row]:
    newest = select(func.max(checkpoints.c.before_month)).scalar_subquery()
    rows = await connection.execute(select(checkpoints).where(checkpoints.c.before_month == newest))
    return [dict(row) for row in rows.mappings()]


async def _follow(connection: AsyncConnection, before: int, chains: dict[int, _Chain]) -> None:
    last = 0
    while True:
        query = select(links).where(links.c.link > last, links.c.month < before).order_by(links.c.link).limit(_PAGE)
        page = (await connection.execute(query)).mappings().all()
        for row in page:
            writer, _ = writer_and_position(row["link"])
            chain = chains.setdefault(writer, _Chain(through=link_number(writer, 0), hash=NOTHING_BEFORE))
            if chain.ended or row["link"] <= chain.through:  # those are left over from a drop that was broken off
                continue
            manifest = _checked(row, chain)
            if _stays(manifest, before):
                chain.ended = True
                continue
            chain.through, chain.hash, chain.links = row["link"], row["hash"], chain.links + 1
        if len(page) < _PAGE:
            return
        last = page[-1]["link"]


def _checked(row: Mapping[Any, Any], chain: _Chain) -> bytes:
    try:
        manifest = inflate(row["manifest"])
    except ValueError:
        manifest = b""
    follows = row["link"] == chain.through + 1 and row["previous"] == chain.hash
    if follows and link_hash(row["link"], row["previous"], manifest) == row["hash"]:
        return manifest
    writer, position = writer_and_position(row["link"])
    raise NotAsWritten(f"writer {writer}'s chain is broken at link {position}; `spillway ledger verify` says how")


def _stays(manifest: bytes, before: int) -> bool:
    """Whether it names a row that stays: of a later month, or of none."""
    for line in manifest.decode().splitlines():
        code, rest = line.split(":", 1)
        month = month_of(rest.partition(":")[0])
        if code not in "pd" and (month >= before or month == 0):
            return True
    return False


async def _sums(connection: AsyncConnection, before: int) -> tuple[dict[int, int], dict[int, int]]:
    """By writer, of the months that go: attempts that it opened, and what it settled and corrected."""
    writer: ColumnElement[int] = literal_column("link >> 36", BigInteger).label("writer")
    found: list[dict[int, int]] = []
    for table, summed in (
        (attempts, func.count()),
        (settlements, func.sum(settlements.c.amount_nanousd)),
        (corrections, func.sum(corrections.c.amount_nanousd)),
    ):
        query = select(writer, summed).select_from(table).where(table.c.month < before, table.c.month > 0)
        rows = (await connection.execute(query.group_by(writer))).all()
        found.append({int(number): int(total or 0) for number, total in rows})
    opened, settled, corrected = found
    return opened, {n: settled.get(n, 0) + corrected.get(n, 0) for n in {*settled, *corrected}}
