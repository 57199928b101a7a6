"""Who tries which strategy on which part of a policy's conversations: one row a policy.

Knows the table. What may be tried is known to ``gateway/policies.py``.
"""

import time
from dataclasses import dataclass

import orjson
from sqlalchemy import BigInteger, Column, Double, String, Table, Text, delete, insert, select

from gateway.canary import Canary
from gateway.database import Database, metadata
from router.errors import StrategyError
from router.strategy import Strategy

canaries = Table(
    "canaries",
    metadata,
    Column("policy", String(64), primary_key=True),
    Column("strategy", Text, nullable=False, comment="as in its file"),
    Column("share", Double, nullable=False, comment="of conversations"),
    Column("set_by", String(64), nullable=False, comment="the key that was signed in with, or operator"),
    Column("set_us", BigInteger, nullable=False),
    comment="Strategies that are tried, beside those that the configuration names",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetCanary:
    """One of them.   set_by : a key's id, or ``operator``."""

    policy: str
    canary: Canary
    set_by: str
    set_us: int


class CanaryStore:
    """The canaries of one database. All methods raise DatabaseUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def set(self, policy: str, canary: Canary, set_by: str) -> None:
        """In place of the one that the policy had."""
        row = {
            "policy": policy, "strategy": orjson.dumps(canary.strategy.to_document()).decode(), "share": canary.share,
            "set_by": set_by, "set_us": time.time_ns() // 1000,
        }  # fmt: skip
        async with self._database.write() as connection:
            await connection.execute(delete(canaries).where(canaries.c.policy == policy))
            await connection.execute(insert(canaries), row)

    async def end(self, policy: str) -> None:
        """Let the policy's strategy answer all of its conversations again."""
        async with self._database.write() as connection:
            await connection.execute(delete(canaries).where(canaries.c.policy == policy))

    async def all(self) -> dict[str, SetCanary]:
        """By policy, but for those that this version cannot read."""
        async with self._database.read() as connection:
            rows = (await connection.execute(select(canaries))).all()
        found = {}
        for row in rows:
            try:
                strategy = Strategy.of_document(orjson.loads(row.strategy))
            except StrategyError:
                continue
            canary = Canary(strategy=strategy, share=row.share)
            found[row.policy] = SetCanary(policy=row.policy, canary=canary, set_by=row.set_by, set_us=row.set_us)
        return found
