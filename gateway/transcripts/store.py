"""The table of transcripts: for each request its question, and for each of its calls the answer, packed.

It is no part of the ledger: nothing in it is money, no sum and no hash depends on it, and it goes first.
Knows its table. Knows no question and no answer but as JSON.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import BigInteger, Column, Index, LargeBinary, String, Table, delete, select

from gateway.database import Database, metadata

_ID = String(64)
_AT_ONCE = 1000
QUESTION = ""
"""In place of an attempt's id: what was asked of all of them."""

transcripts = Table(
    "transcripts",
    metadata,
    Column("decision_id", _ID, primary_key=True),
    Column("attempt_id", _ID, primary_key=True, comment="empty: the question"),
    Column("created_us", BigInteger, nullable=False, comment="when the request came"),
    Column("content", LargeBinary, nullable=False, comment="JSON, packed by zlib"),
    Index(None, "created_us"),
    comment="What was asked and what models said",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """One row. content : JSON.   attempt_id : whose answer it is, or QUESTION."""

    decision_id: str
    attempt_id: str
    created_us: int
    content: bytes

    def row(self) -> dict[str, Any]:
        """As it is stored."""
        packed = zlib.compress(self.content)
        names = {"decision_id": self.decision_id, "attempt_id": self.attempt_id}
        return {**names, "created_us": self.created_us, "content": packed}


class TranscriptStore:
    """The transcripts of one database. All methods raise DatabaseUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, rows: Sequence[dict[str, Any]]) -> None:
        """Write rows; those that are there already stay as they are."""
        async with self._database.write() as connection:
            await connection.execute(self._database.insert_once(transcripts), list(rows))

    async def of(self, decision_id: str) -> dict[str, Any]:
        """What is kept of a request, by attempt; the question stands under QUESTION. Empty if nothing is."""
        query = select(transcripts.c.attempt_id, transcripts.c.content).where(transcripts.c.decision_id == decision_id)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        return {row.attempt_id: unpacked(row.content) for row in rows}

    async def drop_before(self, moment_us: int) -> int:
        """Let go of some of the requests from before a moment; 0 once there are none. Returns the number of rows."""
        old = select(transcripts.c.decision_id).where(transcripts.c.created_us < moment_us).limit(_AT_ONCE)
        return await self._drop(await self._ids(old))

    async def drop(self, decision_ids: Sequence[str]) -> int:
        """Let go of these requests, however many. Returns the number of rows."""
        parts = [decision_ids[n : n + _AT_ONCE] for n in range(0, len(decision_ids), _AT_ONCE)]
        return sum([await self._drop(part) for part in parts])

    async def _ids(self, query: Any) -> Sequence[str]:
        async with self._database.read() as connection:
            return sorted(set((await connection.execute(query)).scalars()))

    async def _drop(self, decision_ids: Sequence[str]) -> int:
        if not decision_ids:
            return 0
        async with self._database.write() as connection:
            gone = delete(transcripts).where(transcripts.c.decision_id.in_(decision_ids))
            return (await connection.execute(gone)).rowcount


def unpacked(content: bytes) -> Any:
    """What a row says."""
    return orjson.loads(zlib.decompress(content))
