"""What reconciliations found, kept for whoever looks later: the newest of each provider and day stands.

Knows its two tables. Knows neither files nor causes.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Table, Text, delete, insert, select

from gateway.database import Database, metadata
from gateway.ledger.reconcile.compare import Variance
from router.ids import new_id

_DAY = String(10)
_NAME = String(256)
_MOST_LISTED = 10_000

reconciliations = Table(
    "reconciliations",
    metadata,
    Column("reconciliation_id", String(64), primary_key=True),
    Column("provider", _NAME, nullable=False),
    Column("made_us", BigInteger, nullable=False),
    Column("source", Text, nullable=False, comment="the file's name"),
    Column("first_day", _DAY, nullable=False, comment="of the file, such as 2026-11-01"),
    Column("last_day", _DAY, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("variances", Integer, nullable=False, comment="0: every day agreed"),
    Index(None, "provider", "made_us"),
    comment="Providers' files that were held against the ledger",
)

variances = Table(
    "variances",
    metadata,
    Column("reconciliation_id", String(64), ForeignKey("reconciliations.reconciliation_id"), primary_key=True),
    Column("day", _DAY, primary_key=True),
    Column("model", _NAME, primary_key=True, comment="as the provider names it; *: all together"),
    Column("meter", String(64), primary_key=True, comment="*: all together"),
    Column("provider", _NAME, nullable=False),
    Column("cause", String(32), nullable=False),
    Column("note", Text, nullable=False),
    Column("ledger_quantity", BigInteger),
    Column("invoice_quantity", BigInteger),
    Column("ledger_nanousd", BigInteger, comment="NULL: not known"),
    Column("invoice_nanousd", BigInteger, comment="NULL: the file does not say"),
    Index(None, "provider", "day"),
    comment="Days on which a provider's file and the ledger differ",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreconciled:
    """A variance, and whose file it was found in."""

    provider: str
    variance: Variance


class Reconciliations:
    """In one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(
        self, provider: str, source: str, days: tuple[date, date], rows: int, found: Sequence[Variance]
    ) -> None:
        """In place of what was found earlier for the same provider and days."""
        reconciliation = new_id("rec")
        values = {
            "reconciliation_id": reconciliation,
            "provider": provider,
            "made_us": time.time_ns() // 1000,
            "source": source,
            "first_day": days[0].isoformat(),
            "last_day": days[1].isoformat(),
            "rows": rows,
            "variances": len(found),
        }
        names = ("cause", "note", "ledger_quantity", "invoice_quantity", "ledger_nanousd", "invoice_nanousd")
        listed = [
            {
                "reconciliation_id": reconciliation,
                "provider": provider,
                "day": variance.day.isoformat(),
                "model": variance.model[:256],
                "meter": variance.meter[:64],
                **{name: getattr(variance, name) for name in names},
            }
            for variance in found
        ]
        older = delete(variances).where(variances.c.provider == provider)
        older = older.where(variances.c.day >= values["first_day"], variances.c.day <= values["last_day"])
        async with self._database.write() as connection:
            await connection.execute(older)
            await connection.execute(insert(reconciliations), values)
            if listed:
                await connection.execute(insert(variances), listed)

    async def unreconciled(self, provider: str | None = None) -> tuple[Unreconciled, ...]:
        """Every day that does not agree, newest first."""
        query = select(variances).order_by(variances.c.day.desc(), variances.c.provider, variances.c.model)
        if provider is not None:
            query = query.where(variances.c.provider == provider)
        async with self._database.read() as connection:
            rows = (await connection.execute(query.limit(_MOST_LISTED))).mappings().all()
        return tuple(_unreconciled(dict(row)) for row in rows)


def _unreconciled(row: dict[str, Any]) -> Unreconciled:
    names = set(Variance.__slots__) - {"day"}
    told = {name: row[name] for name in names}
    return Unreconciled(provider=row["provider"], variance=Variance(day=date.fromisoformat(row["day"]), **told))
