"""Checks the ledger against its hash chains: says which row was changed, taken away or put in, and which link is gone.

Reads everything once, in bounded memory: each table in the order of its keys, each link once or a few times. Where
older months were dropped, chains begin at their checkpoints, which are rows like others; rows of which details were
dropped are held against the link that says what is left of them.
What it cannot see by itself is that a writer's newest links are missing together with their rows: ``heads`` of an
earlier check, kept elsewhere, show it. Knows tables and chains. Knows no command line.
"""

from collections import OrderedDict
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import RowMapping, Table, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.database import Database
from gateway.ledger.chain import (
    NOTHING_BEFORE,
    SCRUBBED,
    digest_of,
    digests,
    inflate,
    key_of,
    link_hash,
    writer_and_position,
)
from gateway.ledger.retention.sums import changed_days
from gateway.ledger.retention.turn import read_state
from gateway.ledger.tables import (
    attempts,
    checkpoints,
    closings,
    corrections,
    entries,
    kept_days,
    line_items,
    links,
    requests,
    settlements,
)
from router.ids import month_of

CHAINED = (requests, closings, attempts, settlements, line_items, corrections, entries, checkpoints, kept_days)

_PAGE = 2000
_MANIFESTS = 64  # decoded at a time
_MOST_FINDINGS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is not as it was written. ``what`` happened to which row of which table, or to which link."""

    what: Literal["changed", "missing", "added", "link changed", "link missing"]
    table: str
    key: str
    link: int

    def __str__(self) -> str:
        writer, position = writer_and_position(self.link)
        return f"{self.what}: {self.table} {self.key} (writer {writer}, link {position})"


@dataclass(slots=True, kw_only=True)
class Verdict:
    """What a check found. heads : of each writer, its newest link's position and hash."""

    rows: int = 0
    links: int = 0
    unchained: int = 0  # rows from before there were chains
    dropped_links: int = 0  # according to the checkpoints
    before_month: int = 0  # months before it were dropped; 0: none was
    heads: dict[int, tuple[int, str]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    more: int = 0  # findings beyond those that are listed

    @property
    def is_sound(self) -> bool:
        """Whether everything is as it was written."""
        return not self.findings

    def found(self, finding: Finding) -> None:
        """Keep it, if there are not too many already."""
        if len(self.findings) < _MOST_FINDINGS:
            self.findings.append(finding)
        else:
            self.more += 1


async def verify(database: Database, *, heads: Mapping[int, tuple[int, str]] | None = None) -> Verdict:
    """Check everything. heads : as an earlier check gave them. Raises DatabaseUnavailable or DatabaseError."""
    async with database.read() as connection:
        check = _Check(connection)
        await check.beginnings()
        await check.chains(heads or {})
        for table in CHAINED:
            await check.rows(table)
        await check.missing()
        await check.sums()
    return check.verdict


class _Check:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self.verdict = Verdict()
        self._expected: dict[int, int] = {}  # by link: rows that are still to be seen
        self._manifests: OrderedDict[int, dict[tuple[str, str], str]] = OrderedDict()
        self._begins: dict[int, tuple[int, bytes]] = {}  # by writer: the newest link that was dropped, and its hash
        self._before = self._gone = 0  # months before which rows were dropped, and before which none may be left

    async def beginnings(self) -> None:
        """Where chains begin, and which months are not there any more."""
        self._gone = (await read_state(self._connection)).dropped_month
        for table in (checkpoints, kept_days):
            newest = (await self._connection.execute(select(func.max(table.c.before_month)))).scalar()
            self._before = max(self._before, newest or 0)
        for row in (await self._connection.execute(select(checkpoints))).all():
            if row.before_month == self._before:
                self._begins[row.writer_number] = row.through, _bytes(row.hash)
                self.verdict.heads[row.writer_number] = writer_and_position(row.through)[1], row.hash
                self.verdict.dropped_links += row.links
        self.verdict.before_month = self._before

    async def chains(self, heads: Mapping[int, tuple[int, str]]) -> None:
        """Each link follows the one before, and its hash is that of its manifest."""
        wanted = {writer: position for writer, (position, _) in heads.items()}
        before: tuple[int, bytes] | None = None
        async for row in self._pages(links, "link"):
            number, hashed = row["link"], row["hash"]
            writer, position = writer_and_position(number)
            begins, hash_before = self._begins.get(writer, (writer << 36, NOTHING_BEFORE))
            if number <= begins:  # on its way out
                continue
            if before is not None and writer_and_position(before[0])[0] == writer:
                begins, hash_before = before
            awaited, previous = begins + 1, hash_before
            if number != awaited:
                self.verdict.found(Finding(what="link missing", table="links", key=str(awaited), link=awaited))
            elif row["previous"] != previous or not self._is_whole(row):
                self.verdict.found(Finding(what="link changed", table="links", key=str(number), link=number))
            if wanted.get(writer) == position and heads[writer][1] != hashed.hex():
                self.verdict.found(Finding(what="link changed", table="links", key=str(number), link=number))
                wanted.pop(writer)
            self.verdict.links += 1
            self.verdict.heads[writer] = position, hashed.hex()
            self._expected[number] = row["rows"]
            before = number, hashed
        for writer, position in wanted.items():
            newest = self.verdict.heads.get(writer, (0, ""))[0]
            if newest == position and self.verdict.heads[writer][1] != heads[writer][1]:
                number = (writer << 36) + position
                self.verdict.found(Finding(what="link changed", table="links", key=str(number), link=number))
            if newest < position:
                number = (writer << 36) + position
                self.verdict.found(Finding(what="link missing", table="links", key=str(number), link=number))

    def _is_whole(self, row: RowMapping) -> bool:
        try:
            return bool(link_hash(row["link"], row["previous"], inflate(row["manifest"])) == row["hash"])
        except ValueError:
            return False

    async def rows(self, table: Table) -> None:
        """Each row is in its link's manifest, with its digest."""
        async for found in self._pages(table, *(column.name for column in table.primary_key)):
            row = {f"{name}": value for name, value in found.items()}  # SQLAlchemy's names are no plain strings
            key = key_of(table, row)
            number, scrubbed = row["link"], row.get("scrubbed")
            if 0 < row.get("month", self._before) < self._before:  # on its way out, or put back
                if row["month"] < self._gone:
                    self.verdict.found(Finding(what="added", table=table.name, key=key, link=number))
                continue
            self.verdict.rows += 1
            if number == 0:
                self.verdict.unchained += 1
                continue
            written = (await self._manifest(number)).get((table.name, key))
            if written is None or number not in self._expected:
                self.verdict.found(Finding(what="added", table=table.name, key=key, link=number))
                continue
            self._expected[number] -= 1
            if scrubbed is not None:
                written = (await self._manifest(scrubbed)).get((table.name + SCRUBBED, key))
                self._expected[scrubbed] = self._expected.get(scrubbed, 0) - 1
            if written != digest_of(row):
                self.verdict.found(Finding(what="changed", table=table.name, key=key, link=number))

    async def missing(self) -> None:
        """Rows that a manifest names and no table holds."""
        tables = {table.name: table for table in CHAINED}
        for number in [number for number, left in self._expected.items() if left > 0]:
            for name, key in await self._manifest(number):
                if self._is_dropped(name, key):
                    continue
                of, scrubbed, _ = name.partition(SCRUBBED)
                if scrubbed and not await self._is_there(tables[of], key, number, "scrubbed"):
                    self.verdict.found(Finding(what="changed", table=of, key=key, link=number))
                if not scrubbed and not await self._is_there(tables[of], key, number, "link"):
                    self.verdict.found(Finding(what="missing", table=of, key=key, link=number))

    async def sums(self) -> None:
        """What is known of dropped months alone, the rollups, is as it was when they were dropped."""
        async for day, link in changed_days(self._connection, self._before):
            self.verdict.found(Finding(what="changed", table="rollups", key=str(day), link=link))

    def _is_dropped(self, name: str, key: str) -> bool:
        first, _, last = key.partition(":")
        if name in (checkpoints.name, kept_days.name):
            return int(last) < self._before
        return 0 < month_of(first) < self._before

    async def _is_there(self, table: Table, key: str, number: int, by: str) -> bool:
        names = [column.name for column in table.primary_key if column.name != "month"]
        parts = key.split(":")
        query = select(func.count()).select_from(table).where(table.c[by] == number)
        for name, part in zip(names, parts, strict=True):
            column = table.c[name]
            query = query.where(column == (int(part) if column.type.python_type is int else part))
        return bool((await self._connection.execute(query)).scalar())

    async def _manifest(self, number: int) -> dict[tuple[str, str], str]:
        if number not in self._manifests:
            row = (await self._connection.execute(select(links.c.manifest).where(links.c.link == number))).first()
            try:
                self._manifests[number] = {} if row is None else digests(inflate(row.manifest))
            except ValueError:
                self._manifests[number] = {}
            while len(self._manifests) > _MANIFESTS:
                self._manifests.popitem(last=False)
        self._manifests.move_to_end(number)
        return self._manifests[number]

    async def _pages(self, table: Table, *keys: str) -> AsyncGenerator[RowMapping]:
        columns = [table.c[name] for name in keys]
        last: tuple[Any, ...] | None = None
        while True:
            query = select(table).order_by(*columns).limit(_PAGE)
            if last is not None:
                query = query.where(tuple_(*columns) > last)
            page = (await self._connection.execute(query)).mappings().all()
            for row in page:
                yield row
            if len(page) < _PAGE:
                return
            last = tuple(page[-1][name] for name in keys)


def _bytes(digits: str) -> bytes:
    """Of a hash; of a damaged one something that no link has."""
    try:
        return bytes.fromhex(digits)
    except ValueError:
        return b""
