"""Which hours the rollups no longer tell the truth about: the hash chain's newer links name every row since.

A link names the rows that were committed with it. Knows links, marks and identifiers. Knows no sum.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, and_, cast, func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.ledger.chain import inflate, link_number
from gateway.ledger.rollups.sources import HOUR_US
from gateway.ledger.rollups.tables import rollup_marks
from gateway.ledger.tables import attempts, links, requests, writers

_OF_A_REQUEST = frozenset("rc")  # codes in a manifest; the others are of an attempt, or of nothing that is summed here
_OF_AN_ATTEMPT = frozenset("aslk")
_MOST_PER_QUERY = 500
_MOST_LINKS_HELD = 200
_SLACK_US = 600_000_000  # an identifier is made before its row, by a clock that may have been set since


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """hours : that rows were added to since the marks.   heads : up to which link that was looked at, by writer.

    complete : False if there are more links than were looked at.
    """

    hours: frozenset[int]
    heads: Mapping[int, int]
    complete: bool


async def heads_of(connection: AsyncConnection) -> dict[int, int]:
    """The newest link of every writer that has one."""
    heads, _ = await _heads_and_marks(connection)
    return heads


async def _heads_and_marks(connection: AsyncConnection) -> tuple[dict[int, int], dict[int, int]]:
    span = literal(link_number(1, 0), BigInteger)
    first = cast(writers.c.number, BigInteger) * span
    its_own = and_(links.c.link >= first, links.c.link < first + span)
    newest = select(func.max(links.c.link)).where(its_own).correlate(writers).scalar_subquery()
    query = select(writers.c.number, newest.label("head"), rollup_marks.c.link.label("mark"))
    tables = writers.outerjoin(rollup_marks, rollup_marks.c.writer_number == writers.c.number)
    rows = (await connection.execute(query.select_from(tables))).all()
    heads = {row.number: row.head for row in rows if row.head is not None}
    return heads, {row.number: row.mark for row in rows if row.mark is not None}


async def changes_since_marks(connection: AsyncConnection, *, before_us: int, most_links: int) -> Changes:
    """What the links after the marks say of the hours before ``before_us``."""
    heads, marks = await _heads_and_marks(connection)
    asked: set[str] = set()
    called: set[str] = set()
    looked, left = dict(marks), most_links
    for writer, head in heads.items():
        mark = marks.get(writer, link_number(writer, 0))
        if mark >= head or left <= 0:
            continue
        while mark < head and left > 0:  # a few at a time: a busy minute's manifests are megabytes
            query = select(links.c.link, links.c.manifest).where(links.c.link > mark, links.c.link <= head)
            rows = (await connection.execute(query.order_by(links.c.link).limit(min(left, _MOST_LINKS_HELD)))).all()
            if not rows:
                break
            left -= len(rows)
            for row in rows:
                _note(inflate(row.manifest), before_us, asked, called)
            looked[writer] = mark = rows[-1].link
    complete = all(looked.get(writer, 0) >= head for writer, head in heads.items())
    hours = await _hours_of(connection, asked, called)
    return Changes(hours=frozenset(hour for hour in hours if hour < before_us), heads=looked, complete=complete)


def _note(manifest: bytes, before_us: int, asked: set[str], called: set[str]) -> None:
    for line in manifest.decode().splitlines():
        code, key = line[0], line[2:].partition(":")[0]
        wanted = asked if code in _OF_A_REQUEST else called if code in _OF_AN_ATTEMPT else None
        if wanted is not None and _made_us(key) < before_us + _SLACK_US:
            wanted.add(key)


def _made_us(identifier: str) -> int:
    """When it was made; 0 where it does not say, so that it is looked up."""
    try:
        return int(identifier.rpartition("_")[2][:12], 16) * 1000
    except ValueError:
        return 0


async def _hours_of(connection: AsyncConnection, asked: set[str], called: set[str]) -> set[int]:
    hours: set[int] = set()
    async for row in _rows(connection, (attempts.c.opened_us, attempts.c.decision_id), attempts.c.attempt_id, called):
        hours.add(row.opened_us - row.opened_us % HOUR_US)
        asked.add(row.decision_id)  # what an attempt costs, its request cost
    async for row in _rows(connection, (requests.c.created_us,), requests.c.decision_id, asked):
        hours.add(row.created_us - row.created_us % HOUR_US)
    return hours


async def _rows(
    connection: AsyncConnection, columns: Sequence[ColumnElement[Any]], key: ColumnElement[str], wanted: Iterable[str]
) -> Any:
    listed = sorted(wanted)
    for start in range(0, len(listed), _MOST_PER_QUERY):
        query = select(*columns).where(key.in_(listed[start : start + _MOST_PER_QUERY]))
        for row in (await connection.execute(query)).all():
            yield row
