"""Keeps the rollups: folds in what the chain says has changed, hour by hour, or makes all of them anew.

An hour is computed from its raw rows and replaced whole, so that folding it twice changes nothing. One process works at
a time: each write raises a turn that it must have seen before, and whoever lost count stops.
Knows the state and the order of steps. Knows no sum and no report.
"""

import time
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table, and_, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.database import Database
from gateway.ledger.rollups.changes import changes_since_marks, heads_of
from gateway.ledger.rollups.days import added_up, complete, replace, spoil, spoilt
from gateway.ledger.rollups.sources import HOUR_US, each_attempt, each_request, grouped, uncompiled
from gateway.ledger.rollups.tables import (
    ATTEMPT_DIMENSIONS,
    ATTEMPT_MEASURES,
    REQUEST_DIMENSIONS,
    REQUEST_MEASURES,
    REQUEST_SQUARES,
    attempt_rollups,
    request_rollups,
    rollup_marks,
    rollup_state,
)
from gateway.ledger.tables import attempts, requests

GRACE_US = 120_000_000  # an hour is rolled up when it has been over for so long: most of it is settled then
_LEASE_US = 120_000_000
_MOST_LINKS = 20_000  # looked at in one go

Rows = list[dict[str, Any]]


class Overtaken(Exception):
    """Another process works on the rollups."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """What was done. hours : written.   busy : another process is at it, nothing was done here."""

    hours: int = 0
    busy: bool = False
    complete: bool = True


class Rollups:
    """Of one database. Raises DatabaseUnavailable, or DatabaseError where the schema is not there."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def fold(self, now_us: int | None = None, *, rebuild: bool = False) -> Folded:
        """Bring the rollups up to date; ``rebuild``: also make every hour anew whose raw rows are still there."""
        now_us = time.time_ns() // 1000 if now_us is None else now_us
        turn = await self._claim()
        if turn is None:
            return Folded(busy=True)
        try:
            return await self._work(_Turn(turn), (now_us - GRACE_US) // HOUR_US * HOUR_US, rebuild=rebuild)
        except Overtaken:
            return Folded(busy=True)

    async def check(self) -> AsyncIterator[int]:
        """Every rolled-up hour that differs from its raw rows, though nothing newer explains it."""
        async with self._database.read() as connection:
            state = (await connection.execute(select(rollup_state))).one()
            changed = await changes_since_marks(connection, before_us=state.rolled_until_us, most_links=_MOST_LINKS)
        hours = {hour async for hour in self._hours(state.raw_since_us, state.rolled_until_us)}
        for hour in sorted((hours | await self._stored(state.raw_since_us)) - changed.hours):
            async with self._database.read() as connection:
                raw = await self._rows_of(connection, hour)
                kept = {table: await _kept(connection, table, hour) for table in raw}
            if hour < state.tags_since_us:
                raw, kept = _untagged(raw), _untagged(kept)
            if any(_comparable(raw[table]) != _comparable(kept[table]) for table in raw):
                yield hour
        async with self._database.read() as connection:
            days = await complete(connection, 0, state.rolled_until_us, ())
        for day in days:
            async with self._database.read() as connection:
                whole = await added_up(connection, day)
                stored = {table: await _kept(connection, table, day) for table in whole}
            if any(_comparable(map(_plain, whole[table])) != _comparable(stored[table]) for table in whole):
                yield day

    async def _work(self, turn: "_Turn", until_us: int, *, rebuild: bool) -> Folded:
        async with self._database.read() as connection:
            state = (await connection.execute(select(rollup_state))).one()
            changes = await changes_since_marks(connection, before_us=state.rolled_until_us, most_links=_MOST_LINKS)
            heads = await heads_of(connection) if not state.rolled_until_us else changes.heads
        if not state.rolled_until_us:  # nothing is rolled up that these could have changed
            await self._write(turn, {}, marks=heads)
        changed = set(changes.hours)
        if rebuild:
            changed |= {hour async for hour in self._hours(state.raw_since_us, state.rolled_until_us)}
            changed |= await self._stored(state.raw_since_us)
        written = 0
        for hour in sorted(hour for hour in changed if hour >= state.raw_since_us):
            await self._roll(turn, hour)
            written += 1
        rolled = max(state.rolled_until_us, state.raw_since_us)
        async for hour in self._hours(rolled, until_us):
            await self._roll(turn, hour, rolled_until_us=hour + HOUR_US)
            written += 1
        await self._add_up_days(turn, max(until_us, state.rolled_until_us))
        finished = {"busy_until_us": 0, "rolled_until_us": max(until_us, state.rolled_until_us)}
        await self._write(turn, finished, marks=heads)
        return Folded(hours=written, complete=changes.complete or not state.rolled_until_us)

    async def _hours(self, since_us: int, until_us: int) -> AsyncIterator[int]:
        """Those in which anything was asked or called."""
        hour = since_us
        while hour < until_us:
            async with self._database.read() as connection:
                firsts = [
                    (await connection.execute(select(func.min(column)).where(column >= hour))).scalar()
                    for column in (attempts.c.opened_us, requests.c.created_us)
                ]
            found = [first for first in firsts if first is not None]
            if not found or min(found) >= until_us:
                return
            hour = min(found) // HOUR_US * HOUR_US
            yield hour
            hour += HOUR_US

    async def _stored(self, since_us: int) -> set[int]:
        stored: set[int] = set()
        async with self._database.read() as connection:
            for table in (attempt_rollups, request_rollups):
                query = select(table.c.hour_us).where(table.c.hour_us >= since_us).distinct()
                stored.update((await connection.execute(query)).scalars())
        return stored

    async def _roll(self, turn: "_Turn", hour: int, **state: int) -> None:
        async with self._database.read() as connection:
            # as it is now: tags of the hour may have been dropped since the fold began, and their sums stay
            tags_since_us = (await connection.execute(select(rollup_state.c.tags_since_us))).scalar_one()
            rows = await self._rows_of(connection, hour)
        state = {"busy_until_us": time.time_ns() // 1000 + _LEASE_US, **state}
        await self._write(turn, state, hour=(hour, rows), untagged=hour < tags_since_us)

    async def _add_up_days(self, turn: "_Turn", until_us: int) -> None:
        async with self._database.read() as connection:
            days = await spoilt(connection, until_us)
        for day in days:
            async with self._database.read() as connection:
                await uncompiled(connection)
                rows = await added_up(connection, day)
            whole = {table: [_plain(row) for row in listed] for table, listed in rows.items()}
            await self._write(turn, {"busy_until_us": time.time_ns() // 1000 + _LEASE_US}, day=(day, whole))

    async def _rows_of(self, connection: AsyncConnection, hour: int) -> dict[Table, Rows]:
        await uncompiled(connection)
        ranges, sqlite = [(hour, hour + HOUR_US)], self._database.is_sqlite
        found: dict[Table, Rows] = {attempt_rollups: [], request_rollups: []}
        for tagged in (False, True):
            of_attempts = each_attempt(ranges, tagged=tagged, sqlite=sqlite)
            of_requests = each_request(ranges, tagged=tagged, sqlite=sqlite)
            for table, query in (
                (attempt_rollups, grouped(of_attempts, ATTEMPT_DIMENSIONS, (*ATTEMPT_MEASURES, "latency_s"))),
                (request_rollups, grouped(of_requests, REQUEST_DIMENSIONS, (*REQUEST_MEASURES, *REQUEST_SQUARES))),
            ):
                for row in (await connection.execute(query)).mappings():
                    found[table].append({"hour_us": hour, "seq": len(found[table]), **_plain(row)})
        return found

    async def _write(
        self,
        turn: "_Turn",
        state: Mapping[str, int],
        *,
        hour: tuple[int, Mapping[Table, Rows]] | None = None,
        untagged: bool = False,
        day: tuple[int, dict[Table, Rows]] | None = None,
        marks: Mapping[int, int] | None = None,
    ) -> None:
        async with self._database.write() as connection:
            mine = and_(rollup_state.c.id == 1, rollup_state.c.turn == turn.number)
            moved = await connection.execute(update(rollup_state).where(mine).values(turn=turn.number + 1, **state))
            if moved.rowcount != 1:
                raise Overtaken
            if day is not None:
                await replace(connection, *day)
            if hour is not None:
                await spoil(connection, hour[0])
                for table, rows in hour[1].items():
                    gone = delete(table).where(table.c.hour_us == hour[0])
                    await connection.execute(gone.where(table.c.tag_name == "") if untagged else gone)
                    fresh = [row for row in rows if not (untagged and row["tag_name"])]
                    if fresh:
                        await connection.execute(insert(table), fresh)
            for writer, link in (marks or {}).items():
                known = rollup_marks.c.writer_number == writer
                if not (await connection.execute(update(rollup_marks).where(known).values(link=link))).rowcount:
                    await connection.execute(insert(rollup_marks), {"writer_number": writer, "link": link})
        turn.number += 1

    async def _claim(self) -> int | None:
        now_us = time.time_ns() // 1000
        free = and_(rollup_state.c.id == 1, rollup_state.c.busy_until_us < now_us)
        async with self._database.write() as connection:
            taken = update(rollup_state).where(free).values(
                turn=rollup_state.c.turn + 1, busy_until_us=now_us + _LEASE_US
            )  # fmt: skip
            if (await connection.execute(taken)).rowcount != 1:
                return None
            return int((await connection.execute(select(rollup_state.c.turn))).scalar_one())


@dataclass(slots=True)
class _Turn:
    number: int


async def _kept(connection: AsyncConnection, table: Table, hour: int) -> Rows:
    rows = await connection.execute(select(table).where(table.c.hour_us == hour))
    return [dict(row) for row in rows.mappings()]


def _untagged(rows: Mapping[Table, Rows]) -> dict[Table, Rows]:
    return {table: [row for row in listed if not row["tag_name"]] for table, listed in rows.items()}


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """PostgreSQL adds BIGINTs up to a NUMERIC, which comes as a Decimal."""
    floats = ("latency_s", *REQUEST_SQUARES)
    whole = {*ATTEMPT_MEASURES, *REQUEST_MEASURES}
    return {
        name: float(value) if name in floats else int(value) if name in whole else value for name, value in row.items()
    }


def _comparable(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Without order, and floats to what summing in another order leaves of them."""
    told = []
    for row in rows:
        said = {name: f"{value:.9e}" if isinstance(value, float) else value for name, value in row.items()}
        told.append(repr(sorted((name, value) for name, value in said.items() if name != "seq")))
    return sorted(told)
