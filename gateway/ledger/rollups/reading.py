"""Sums over any stretch of time: whole hours from the rollups, the rest from raw rows, together exact.

What the rollups cannot know yet (the running hour, and hours to which something was added since) is read raw.
Knows which part is read where. Knows no report.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Table, and_, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.errors import InvalidRequest
from gateway.ledger.rollups.changes import changes_since_marks
from gateway.ledger.rollups.days import DAYS_OF, around, complete
from gateway.ledger.rollups.sources import (
    DAY_US,
    HOUR_US,
    Ranges,
    each_attempt,
    each_request,
    grouped,
    uncompiled,
    within,
)
from gateway.ledger.rollups.statements import told_as
from gateway.ledger.rollups.tables import attempt_rollups, request_rollups, rollup_state

_MOST_LINKS = 5_000  # with more of them behind, raw rows are quicker

Condition = Callable[[FromClause], ColumnElement[bool]]
Key = tuple[Any, ...]

_RAW = {attempt_rollups: each_attempt, request_rollups: each_request}


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Which part of a stretch is read from the rollups, and which from raw rows.

    rolled : from which hour on and before which, None where no hour is.   changed : hours within that are not.
    days : that can be read whole.   by_tag : the same for sums by tag, whose raw rows go earlier; None: no different.
    """

    rolled: tuple[int, int] | None
    changed: tuple[int, ...]
    raw: Ranges
    days: tuple[int, ...] = ()
    by_tag: "Coverage | None" = None


async def coverage(connection: AsyncConnection, since_us: int | None, until_us: int | None) -> Coverage:
    """For ``[since, until)`` as things stand. Raises InvalidRequest for parts of hours whose raw rows were dropped."""
    await uncompiled(connection)
    state = (await connection.execute(select(rollup_state))).one_or_none()
    since = 0 if since_us is None else since_us
    if state is None or not state.rolled_until_us:
        return Coverage(rolled=None, changed=(), raw=[(since, until_us)])
    _must_be_whole({"since": since, "until": until_us}, state.raw_since_us)
    changes = await changes_since_marks(connection, before_us=state.rolled_until_us, most_links=_MOST_LINKS)

    async def covering(raw_since_us: int) -> Coverage:
        changed = {hour for hour in changes.hours if hour >= raw_since_us}
        rolled_until = state.rolled_until_us if changes.complete else raw_since_us
        covered = cover(since, until_us, rolled_until, changed if changes.complete else ())
        if covered.rolled is None:
            return covered
        return replace(covered, days=await complete(connection, *covered.rolled, covered.changed))

    covered = await covering(state.raw_since_us)
    if state.tags_since_us <= max(since, state.raw_since_us):
        return covered
    return replace(covered, by_tag=await covering(state.tags_since_us))


def _must_be_whole(bounds: Mapping[str, int | None], raw_since_us: int) -> None:
    for name, moment in bounds.items():
        if moment is not None and moment < raw_since_us and moment % HOUR_US:
            kept = datetime.fromtimestamp(raw_since_us / 1_000_000, UTC)
            said = f"{name}: before {kept:%Y-%m-%d %H:%M} UTC only whole hours are known any more; name a whole one"
            raise InvalidRequest(said, param=name, code="invalid_parameter")


def cover(since: int, until: int | None, rolled_until: int, changed: Iterable[int]) -> Coverage:
    """Cut a stretch into whole hours that are rolled up and the rest.

    >>> cover(HOUR_US // 2, None, 3 * HOUR_US, [HOUR_US]).raw == [
    ...     (HOUR_US // 2, HOUR_US), (HOUR_US, 2 * HOUR_US), (3 * HOUR_US, None)]
    True
    """
    first = -(-since // HOUR_US) * HOUR_US
    last = rolled_until if until is None else min(rolled_until, until // HOUR_US * HOUR_US)
    if first >= last:
        return Coverage(rolled=None, changed=(), raw=[(since, until)])
    stale = tuple(sorted(hour for hour in changed if first <= hour < last))
    raw: list[tuple[int, int | None]] = [(since, first)] if since < first else []
    raw += [(hour, hour + HOUR_US) for hour in stale]
    if until is None or last < until:
        raw.append((last, until))
    return Coverage(rolled=(first, last), changed=stale, raw=raw)


class Sums:
    """Reads sums on one connection, as the coverage says, each by one statement.

    told : where the statements are written down, if somebody wants to know them.
    """

    def __init__(
        self, connection: AsyncConnection, covered: Coverage, *, sqlite: bool, told: list[str] | None = None
    ) -> None:
        self._connection, self._covered, self._sqlite, self._told = connection, covered, sqlite, told

    async def of(
        self,
        table: Table,
        dimensions: Sequence[str],
        measures: Sequence[str],
        where: Sequence[Condition] = (),
        tag: str | None = None,
    ) -> dict[Key, dict[str, int | float]]:
        """Of attempts (``attempt_rollups``) or requests, by the dimensions: columns of the table, or ``BY_DAY``.

        tag : count each for its tag of this name.
        """
        covered = self._covered if tag is None else self._covered.by_tag or self._covered
        raw = _RAW[table](covered.raw, tagged=tag is not None, sqlite=self._sqlite)
        found: dict[Key, dict[str, int | float]] = {}
        parts = [
            grouped(source, dimensions, measures).where(*(condition(source) for condition in conditions))
            for source, conditions in self._sources(table, raw, covered, dimensions, [*where, _tagged(tag)])
        ]
        query = parts[0] if len(parts) == 1 else union_all(*parts)
        told_as(self._told, self._connection, query)
        for row in (await self._connection.execute(query)).all():
            _add(found.setdefault(tuple(row[: len(dimensions)]), {}), measures, row[len(dimensions) :])
        return found

    def _sources(
        self, table: Table, raw: FromClause, covered: Coverage, dimensions: Sequence[str], where: Sequence[Condition]
    ) -> list[tuple[FromClause, Sequence[Condition]]]:
        sources: list[tuple[FromClause, Sequence[Condition]]] = []
        if covered.rolled is not None:
            days = () if "hour_us" in dimensions else covered.days
            sources.append((table, [*where, _rolled(covered.rolled, covered.changed, days)]))
            if days:
                whole = _merged(days)
                sources.append((DAYS_OF[table], [*where, lambda source: within(source.c.hour_us, whole)]))
        if covered.raw:
            sources.append((raw, where))
        return sources


def _rolled(rolled: tuple[int, int], changed: Sequence[int], days: Sequence[int]) -> Condition:
    """Rolled-up hours that are in none of the days."""
    ranges = around(*rolled, days)

    def condition(source: FromClause) -> ColumnElement[bool]:
        hour = source.c.hour_us
        return and_(within(hour, ranges), *([hour.not_in(changed)] if changed else []))

    return condition


def _merged(days: Sequence[int]) -> Ranges:
    """Days that follow each other as one range."""
    first, last = days[0], days[-1] + DAY_US
    gaps = around(first, last, days)
    starts, ends = [first, *(until for _, until in gaps)], [*(since for since, _ in gaps), last]
    return [(since, until) for since, until in zip(starts, ends, strict=True) if since is not None]


def _tagged(tag: str | None) -> Condition:
    return lambda source: source.c.tag_name == (tag or "")


def _add(sums: dict[str, int | float], measures: Sequence[str], values: Iterable[Any]) -> None:
    for name, value in zip(measures, values, strict=True):
        plain = 0 if value is None else value if isinstance(value, float) else int(value)
        sums[name] = sums.get(name, 0) + plain
