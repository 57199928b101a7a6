"""The ledger's statements: groups of new rows in, and what dead processes left open out.

Knows tables and transactions. Knows no queue, no price and no decision about what to write.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Insert, Table, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.database import Database
from gateway.ledger.billing import Reservation, Settlement
from gateway.ledger.entry import RequestClosing, RequestRecord
from gateway.ledger.liveness import Identity
from gateway.ledger.tables import attempts, closings, line_items, requests, settlements, writers

_DAY_US = 86_400_000_000
_MOST_PER_QUERY = 500  # identifiers in one IN (…)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Rows to be committed together, in an order that satisfies their references."""

    requests: Sequence[RequestRecord] = ()
    reservations: Sequence[Reservation] = ()
    settlements: Sequence[tuple[int, Settlement]] = ()  # with the microsecond at which each was settled
    closings: Sequence[tuple[int, RequestClosing]] = ()

    @property
    def name(self) -> str:
        """What is in it, for the log."""
        return ", ".join(
            [
                *(f"request {record.decision_id}" for record in self.requests),
                *(f"attempt {reservation.attempt_id}" for reservation in self.reservations),
                *(f"settlement of {settlement.attempt_id}" for _, settlement in self.settlements),
                *(f"closing of {closing.decision_id}" for _, closing in self.closings),
            ]
        )

    def singles(self) -> "list[Group]":
        """The same rows, each a group of its own."""
        return [
            *(Group(requests=[record]) for record in self.requests),
            *(Group(reservations=[reservation]) for reservation in self.reservations),
            *(Group(settlements=[settlement]) for settlement in self.settlements),
            *(Group(closings=[closing]) for closing in self.closings),
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """An attempt that its process did not settle."""

    attempt_id: str
    model: str
    reserved_nanousd: int | None
    price_version: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterRow:
    """A process that writes, or wrote, to this ledger."""

    writer_id: str
    started_us: int
    seen_us: int
    stopped: bool
    identity: Identity


class LedgerStore:
    """The ledger in one database, as one process writes it."""

    def __init__(self, database: Database, writer_id: str) -> None:
        self._database, self.writer_id = database, writer_id

    async def write(self, group: Group, *, again: bool) -> None:
        """Commit a group. Raises DatabaseUnavailable (nothing or everything is written) or DatabaseError (nothing).

        again : rows of the group may be there already; those stay as they are.
        """
        async with self._database.write() as connection:
            await self._insert(connection, requests, map(self._request_row, group.requests), again)
            await self._insert(connection, attempts, map(self._attempt_row, group.reservations), again)
            new = await self._only_new(connection, group.settlements, again)
            await self._insert(connection, settlements, (_settlement_row(*item) for item in new), again=False)
            lines = (row for _, settlement in new for row in _line_rows(settlement))
            await self._insert(connection, line_items, lines, again=False)
            await self._insert(connection, closings, (_closing_row(*item) for item in group.closings), again)

    async def register(self, identity: Identity, now_us: int) -> None:
        """Say that this process writes from now on."""
        row = {
            "writer_id": self.writer_id,
            "started_us": now_us,
            "seen_us": now_us,
            "place": _clean(identity.place, 1024),
            "process": _clean(identity.process, 256),
        }
        async with self._database.write() as connection:
            await connection.execute(self._database.insert_once(writers), row)

    async def renew(self, now_us: int, *, stopped: bool = False) -> None:
        """Say that this process still writes, or no longer does."""
        values = {"seen_us": now_us, "swept_us": None, "stopped_us": now_us if stopped else None}
        async with self._database.write() as connection:
            await connection.execute(update(writers).where(writers.c.writer_id == self.writer_id).values(values))

    async def unswept(self) -> tuple[WriterRow, ...]:
        """Every other process whose orphans have not been looked for since it last wrote."""
        others = writers.c.swept_us.is_(None) & (writers.c.writer_id != self.writer_id)
        async with self._database.read() as connection:
            rows = (await connection.execute(select(writers).where(others))).mappings().all()
        return tuple(
            WriterRow(
                writer_id=row["writer_id"],
                started_us=row["started_us"],
                seen_us=row["seen_us"],
                stopped=row["stopped_us"] is not None,
                identity=Identity(place=row["place"], process=row["process"]),
            )
            for row in rows
        )

    async def orphans(self, writer: WriterRow, limit: int) -> tuple[Orphan, ...]:
        """Some of the attempts of a dead process that have no settlement."""
        columns = (attempts.c.attempt_id, attempts.c.model, attempts.c.reserved_nanousd, attempts.c.price_version)
        query = (
            select(*columns)
            .outerjoin(settlements, settlements.c.attempt_id == attempts.c.attempt_id)
            .where(_of(writer, attempts.c.writer_id, attempts.c.opened_us), settlements.c.attempt_id.is_(None))
            .limit(limit)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return tuple(Orphan(**row) for row in rows)

    async def unclosed(self, writer: WriterRow, limit: int) -> tuple[str, ...]:
        """Some of the requests of a dead process whose end nobody wrote down."""
        query = (
            select(requests.c.decision_id)
            .outerjoin(closings, closings.c.decision_id == requests.c.decision_id)
            .where(_of(writer, requests.c.writer_id, requests.c.created_us), closings.c.decision_id.is_(None))
            .limit(limit)
        )
        async with self._database.read() as connection:
            return tuple((await connection.execute(query)).scalars().all())

    async def mark_swept(self, writer: WriterRow, now_us: int) -> None:
        """Say that a process left nothing open, unless it has written since."""
        same = (writers.c.writer_id == writer.writer_id) & (writers.c.seen_us == writer.seen_us)
        async with self._database.write() as connection:
            await connection.execute(update(writers).where(same).values(swept_us=now_us))

    async def _insert(
        self, connection: AsyncConnection, table: Table, rows: Iterable[Mapping[str, Any]], again: bool
    ) -> None:
        values = list(rows)
        if values:
            statement: Insert = self._database.insert_once(table) if again else insert(table)
            await connection.execute(statement, values)

    async def _only_new(
        self, connection: AsyncConnection, items: Sequence[tuple[int, Settlement]], again: bool
    ) -> Sequence[tuple[int, Settlement]]:
        """Without settlements that are there already, nor their lines, nor those of attempts that never were."""
        doubtful = [settlement.attempt_id for _, settlement in items if settlement.if_opened]
        if not again and not doubtful:
            return items
        identifiers = [settlement.attempt_id for _, settlement in items]
        settled = await _present(connection, settlements.c.attempt_id, identifiers) if again else set()
        opened = await _present(connection, attempts.c.attempt_id, doubtful)
        return [
            (moment, settlement)
            for moment, settlement in items
            if settlement.attempt_id not in settled and (not settlement.if_opened or settlement.attempt_id in opened)
        ]

    def _request_row(self, record: RequestRecord) -> dict[str, Any]:
        return {
            "decision_id": record.decision_id,
            "created_us": int(record.created.timestamp() * 1_000_000),
            "writer_id": self.writer_id,
            "tenant_id": record.tenant_id,
            "key_id": record.key_id,
            "policy": _clean(record.policy, 256),
            "requested_model": _clean(record.requested_model, 256),
            "endpoint": _clean(record.endpoint, 256),
            "streamed": record.streamed,
            "strategy_id": _clean(record.strategy_id, 256),
            "scorer_version": _clean(record.scorer_version, 256),
            "reference_model": _clean(record.reference_model, 256),
            "tags": _clean(orjson.dumps(dict(record.tags), default=str).decode(), 65_536),
        }

    def _attempt_row(self, reservation: Reservation) -> dict[str, Any]:
        return {
            "attempt_id": reservation.attempt_id,
            "decision_id": reservation.decision_id,
            "writer_id": self.writer_id,
            "kind": "answer",
            "stage": reservation.stage,
            "model": _clean(reservation.model, 256),
            "opened_us": reservation.opened_us,
            "reserved_nanousd": reservation.reserved_nanousd,
            "price_version": None if reservation.price is None else reservation.price.version,
        }


def _settlement_row(settled_us: int, settlement: Settlement) -> dict[str, Any]:
    usage = settlement.usage
    return {
        "attempt_id": settlement.attempt_id,
        "settled_us": settled_us,
        "state": settlement.state,
        "prompt_tokens": None if usage is None else usage.prompt_tokens,
        "cached_prompt_tokens": None if usage is None else usage.cached_prompt_tokens,
        "cache_write_tokens": None if usage is None else usage.cache_write_tokens,
        "completion_tokens": None if usage is None else usage.completion_tokens,
        "reasoning_tokens": None if usage is None else usage.reasoning_tokens,
        "usage_source": settlement.usage_source,
        "amount_nanousd": settlement.amount_nanousd,
        "latency_s": _finite(settlement.latency_s) or 0.0,
        "first_token_s": _finite(settlement.first_token_s),
        "score": _finite(settlement.score),
        "threshold": _finite(settlement.threshold),
        "finish_reason": _clean(settlement.finish_reason, 32),
        "error_kind": _clean(settlement.error_kind, 32),
        "error_status": settlement.error_status,
    }


def _line_rows(settlement: Settlement) -> list[dict[str, Any]]:
    return [
        {
            "attempt_id": settlement.attempt_id,
            "meter": line.meter,
            "seq": 0,
            "quantity": line.quantity,
            "rate_usd": line.rate_usd,
            "price_version": line.price_version,
            "amount_nanousd": line.amount_nanousd,
        }
        for line in settlement.lines
    ]


def _closing_row(closed_us: int, closing: RequestClosing) -> dict[str, Any]:
    return {
        "decision_id": closing.decision_id,
        "closed_us": closed_us,
        "status": closing.status,
        "stop_reason": _clean(closing.stop_reason, 32),
        "answered_attempt": closing.answered_attempt,
        "answered_model": _clean(closing.answered_model, 256),
        "cache_status": closing.cache_status,
        "saved_nanousd": closing.saved_nanousd,
        "reference_nanousd": closing.reference_nanousd,
        "reference_source": closing.reference_source,
    }


def _of(writer: WriterRow, writer_id: ColumnElement[str], moment_us: ColumnElement[int]) -> ColumnElement[bool]:
    # by time first, which is indexed; a day of grace for a clock that was set back
    return (moment_us >= writer.started_us - _DAY_US) & (writer_id == writer.writer_id)


async def _present(connection: AsyncConnection, column: ColumnElement[str], wanted: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for start in range(0, len(wanted), _MOST_PER_QUERY):
        query = select(column).where(column.in_(wanted[start : start + _MOST_PER_QUERY]))
        found.update((await connection.execute(query)).scalars())
    return found


def _clean(value: str | None, most: int) -> str | None:
    """As both engines take it: no NUL, no half surrogate pair, not longer than its column."""
    if value is None:
        return None
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()[:most]


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
