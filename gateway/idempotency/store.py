"""Who has claimed a key, and what came of it: one row a key, the same for all processes on a database.

Knows the table and the order in which its states follow each other. Knows no request and no answer but as bytes.

A claim is made by inserting the row, which one process alone can do. It ends kept (the answer is there), unkept (there
was an answer, too large to keep), unknown (its process stopped in the middle), or the row is taken away again (it
failed, and may be tried again). A claim whose process died says nothing more: after ``until_us`` it counts as unknown.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import and_, delete, select, update

from gateway.database import Database
from gateway.idempotency.tables import once_requests as _rows

State = Literal["running", "kept", "unkept", "unknown"]
_MOST_PURGED = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a key stands at. mine : this very call claimed it."""

    mine: bool
    body_hash: str
    state: State
    answer: bytes | None = None


class OnceStore:
    """The claims of one database."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database, self._clock = database, clock

    async def claim(self, key_hash: str, body_hash: str, claim_id: str, *, lease_s: float, ttl_s: float) -> Claim:
        """Claim a key, or learn what became of another's claim. Raises DatabaseUnavailable."""
        now_us = self._now_us()
        row = {
            "key_hash": key_hash,
            "body_hash": body_hash,
            "claim_id": claim_id,
            "state": "running",
            "until_us": now_us + int(lease_s * 1e6),
            "expires_us": now_us + int((lease_s + ttl_s) * 1e6),
        }
        async with self._database.write() as connection:
            old = and_(_rows.c.key_hash == key_hash, _rows.c.expires_us <= now_us)
            await connection.execute(delete(_rows).where(old))
            made = await connection.execute(self._database.insert_once(_rows), row)
            if made.rowcount == 1:
                return Claim(mine=True, body_hash=body_hash, state="running")
        return await self.look(key_hash) or Claim(mine=False, body_hash=body_hash, state="running")

    async def look(self, key_hash: str) -> Claim | None:
        """What a key stands at; None if nobody claims it."""
        async with self._database.read() as connection:
            found = (await connection.execute(select(_rows).where(_rows.c.key_hash == key_hash))).mappings().first()
        if found is None:
            return None
        dead = found["state"] == "running" and found["until_us"] <= self._now_us()
        return Claim(
            mine=False,
            body_hash=found["body_hash"],
            state="unknown" if dead else found["state"],
            answer=found["answer"],
        )

    async def end(self, key_hash: str, claim_id: str, state: State, answer: bytes | None, *, ttl_s: float) -> None:
        """Say how a claim ended. Another's claim stays as it is."""
        expires_us = self._now_us() + int(ttl_s * 1e6)
        ended = update(_rows).where(_rows.c.key_hash == key_hash, _rows.c.claim_id == claim_id)
        async with self._database.write() as connection:
            await connection.execute(ended.values(state=state, answer=answer, expires_us=expires_us))

    async def release(self, key_hash: str, claim_id: str) -> None:
        """Take a claim back, so that the same key may be tried again."""
        async with self._database.write() as connection:
            mine = and_(_rows.c.key_hash == key_hash, _rows.c.claim_id == claim_id)
            await connection.execute(delete(_rows).where(mine))

    async def purge(self) -> int:
        """Take some rows away that have expired; how many."""
        async with self._database.write() as connection:
            old = select(_rows.c.key_hash).where(_rows.c.expires_us <= self._now_us()).limit(_MOST_PURGED)
            gone = await connection.execute(delete(_rows).where(_rows.c.key_hash.in_(old.scalar_subquery())))
        return int(gone.rowcount)

    def _now_us(self) -> int:
        return int(self._clock() * 1e6)
