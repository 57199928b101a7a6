"""Budgets are reserved and settled here, inside the transactions in which the ledger opens and settles attempts.

Per transaction all counters concerned are locked at once, in one order that every process keeps, so that none waits for
another in a circle; then releases are counted, openings judged one by one, and each counter is written once, provided
that it is still what was judged. What an attempt holds is kept per attempt, so that it is given back where it was
taken, whenever that is and whoever does it.
Knows the budgets' tables. Knows no price and decides nothing about what a call may cost.
"""

import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import delete, insert, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.budgets.budget import Budget, NoBudget, Standing
from gateway.budgets.rows import budget_of
from gateway.budgets.tables import budget_alerts, budget_holds, budget_windows, budgets
from gateway.budgets.windows import Window, window_of
from gateway.database import Database, DatabaseUnavailable
from gateway.errors import RequestError
from gateway.ledger.billing import Reservation
from gateway.ledger.reservations import Movement
from gateway.tenancy.scope import LEVELS, Place, Scope

_Key = tuple[str, int]  # budget and begin of the window
_REMEMBERED = 10_000
_ORDER = (*LEVELS, "policy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """What is known here of the budgets over a place, as of its last call.

    hard : whether one of them is.   until_us : when a window ends, and the pressure with it.
    """

    hard: bool
    pressure: float
    until_us: int | None


@dataclass(slots=True)
class _Books:
    """The counters of one transaction."""

    standings: dict[_Key, Standing] = field(default_factory=dict)
    before: dict[_Key, tuple[int, int, int, int]] = field(default_factory=dict)
    holds: list[dict[str, Any]] = field(default_factory=list)
    released: list[str] = field(default_factory=list)
    reached: set[_Key] = field(default_factory=set)  # a call was refused for it
    overruns: int = 0  # settlements above what was set aside

    def add(self, standing: Standing) -> None:
        key = (standing.budget.budget_id, standing.starts_us)
        self.standings[key] = standing
        self.before[key] = _counts(standing)

    def settle(self, holds: Iterable[Mapping[str, Any]], movement: Movement) -> None:
        """Give back what an attempt holds, and count what it cost."""
        for hold in holds:
            standing = self.standings[hold["budget_id"], hold["starts_us"]]
            standing.reserved_nanousd -= hold["reserved_nanousd"]
            charged = movement.charged_nanousd
            if charged is None:  # unknown is not zero: what was proven to be the most stands in for it, if anything was
                standing.unknown += 1
                charged = hold["reserved_nanousd"]
            standing.settled_nanousd += charged
            self.overruns += charged > hold["reserved_nanousd"]
        self.released.append(movement.reservation.attempt_id)

    def reserve(self, opening: Reservation, binding: Sequence[Standing]) -> RequestError | None:
        """Set aside what a call may cost in every budget over it, or in none and say why."""
        if not opening.spooled:
            for standing in binding:
                refusal = standing.why_not(opening.reserved_nanousd, priced=opening.price_version is not None)
                if refusal is not None:
                    if standing.is_spent_for(opening.reserved_nanousd):
                        self.reached.add((standing.budget.budget_id, standing.starts_us))
                    return refusal
        for standing in binding:
            amount = opening.reserved_nanousd or 0
            standing.reserved_nanousd += amount
            self.holds.append(
                {
                    "attempt_id": opening.attempt_id,
                    "budget_id": standing.budget.budget_id,
                    "starts_us": standing.starts_us,
                    "reserved_nanousd": amount,
                }
            )
        return None


class BudgetCounters:
    """The ledger's ``Reservations``, for every budget there is."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: OrderedDict[_Key, None] = OrderedDict()  # windows that have their row
        self._bindings: OrderedDict[Place, Binding] = OrderedDict()
        self.refused = self.overruns = self.alerts = 0  # for metrics

    def binding(self, place: Place) -> Binding | None:
        """What the last call from there has shown; None before the first one. Does no I/O."""
        return self._bindings.get(place)

    def pressure(self, place: Place) -> float:
        """From 0 to 1: how much the budgets over a place want cheaper answers."""
        known = self._bindings.get(place)
        if known is None or (known.until_us is not None and _now_us() >= known.until_us):
            return 0.0
        return known.pressure

    def may_spool(self, reservation: Reservation) -> bool:
        """Only where the last call has shown that no hard budget binds this caller."""
        if reservation.kind == "shadow":
            return False
        known = self._bindings.get(_place(reservation))
        return known is not None and not known.hard

    async def post(
        self, connection: AsyncConnection, openings: Sequence[Reservation], movements: Sequence[Movement]
    ) -> Mapping[str, Exception]:
        """See ``gateway.ledger.reservations.Reservations``."""
        found = await self._budgets(connection, openings, [m for m in movements if m.event != "settle"])
        held = await self._holds(connection, [m.reservation.attempt_id for m in movements if m.event == "settle"])
        wanted = {key: window for opening in openings for key, window in _windows(opening, found).items()}
        await self._make(connection, wanted)
        corrected = {key for m in movements if m.event != "settle" for key in _windows(m.reservation, found)}
        keys = {*wanted, *corrected, *((h["budget_id"], h["starts_us"]) for rows in held.values() for h in rows)}
        books = await self._lock(connection, keys)
        if not wanted.keys() <= books.standings.keys():  # the transaction that made it was rolled back
            self._known.clear()
            raise DatabaseUnavailable("a budget's window has to be made again")
        refused = self._judge(books, openings, movements, found, held)
        await self._write(connection, books)
        self.refused += sum(opening.attempt_id in refused for opening in openings if opening.kind != "shadow")
        self.overruns += books.overruns
        self._remember(openings, found, books)
        return refused

    def _judge(
        self,
        books: _Books,
        openings: Sequence[Reservation],
        movements: Sequence[Movement],
        found: Sequence[Budget],
        held: Mapping[str, Sequence[Mapping[str, Any]]],
    ) -> dict[str, Exception]:
        later = []  # endings of attempts that are opened in the same transaction
        for movement in movements:
            attempt_id = movement.reservation.attempt_id
            if movement.event != "settle":
                for key in _windows(movement.reservation, found):
                    if key in books.standings:
                        books.standings[key].settled_nanousd += movement.charged_nanousd or 0
            elif attempt_id in held:
                books.settle(held[attempt_id], movement)
            else:
                later.append(movement)
        refused: dict[str, Exception] = {}
        for opening in openings:
            binding = [books.standings[key] for key in _windows(opening, found)]
            unbounded = opening.kind == "shadow" and not binding
            refusal = _unbudgeted(opening) if unbounded else books.reserve(opening, binding)
            if refusal is not None:
                refused[opening.attempt_id] = refusal
        fresh: dict[str, list[dict[str, Any]]] = {}
        for hold in books.holds:
            fresh.setdefault(hold["attempt_id"], []).append(hold)
        for movement in later:
            books.settle(fresh.get(movement.reservation.attempt_id, ()), movement)
        return refused

    async def _budgets(
        self, connection: AsyncConnection, openings: Sequence[Reservation], corrections: Sequence[Movement]
    ) -> Sequence[Budget]:
        """Every budget over one of these attempts, outermost and then oldest first."""
        reservations = [*openings, *(movement.reservation for movement in corrections)]
        scopes = {scope for reservation in reservations for scope in _scopes(reservation)}
        if not scopes:
            return ()
        query = (
            select(budgets)
            .where(budgets.c.scope_id.in_([scope.id for scope in scopes]), budgets.c.removed_us.is_(None))
            .order_by(budgets.c.budget_id)
        )
        rows = (await connection.execute(query)).mappings().all()
        found = [budget for budget in map(budget_of, rows) if budget.scope in scopes]
        return sorted(found, key=lambda budget: _ORDER.index(budget.scope.level))

    async def _holds(
        self, connection: AsyncConnection, attempt_ids: Sequence[str]
    ) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        if not attempt_ids:
            return {}
        query = select(budget_holds).where(budget_holds.c.attempt_id.in_(attempt_ids))
        held: dict[str, list[Mapping[str, Any]]] = {}
        for row in (await connection.execute(query)).mappings():
            held.setdefault(row["attempt_id"], []).append(dict(row))
        return held

    async def _make(self, connection: AsyncConnection, wanted: Mapping[_Key, Window]) -> None:
        """Rows for windows that may have none yet, before any is locked."""
        fresh = sorted(key for key in wanted if key not in self._known)
        if not fresh:
            return
        rows = [
            {
                "budget_id": budget_id,
                "starts_us": starts_us,
                "ends_us": wanted[budget_id, starts_us][1],
                **dict.fromkeys(("reserved_nanousd", "settled_nanousd", "unknown", "alerted_percent"), 0),
            }
            for budget_id, starts_us in fresh
        ]
        await connection.execute(self._database.insert_once(budget_windows), rows)
        self._known |= dict.fromkeys(fresh)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)

    async def _lock(self, connection: AsyncConnection, keys: Iterable[_Key]) -> _Books:
        books = _Books()
        ordered = sorted(keys)
        if not ordered:
            return books
        own = (budget_windows.c.budget_id, budget_windows.c.starts_us)
        query = (
            select(budget_windows, *(column for column in budgets.c if column.name != "budget_id"))
            .join(budgets, budgets.c.budget_id == budget_windows.c.budget_id)
            .where(tuple_(*own).in_(ordered))
            .order_by(*own)
            .with_for_update(of=budget_windows)
        )
        for row in (await connection.execute(query)).mappings():
            books.add(
                Standing(
                    budget=budget_of(row),
                    starts_us=row["starts_us"],
                    ends_us=row["ends_us"],
                    reserved_nanousd=row["reserved_nanousd"],
                    settled_nanousd=row["settled_nanousd"],
                    unknown=row["unknown"],
                    alerted_percent=row["alerted_percent"],
                )
            )
        return books

    async def _write(self, connection: AsyncConnection, books: _Books) -> None:
        alerts = []
        for key, standing in sorted(books.standings.items()):
            alerts += _reached(standing, refused=key in books.reached)
            before, now = books.before[key], _counts(standing)
            if now == before:
                continue
            seen = (
                (budget_windows.c.budget_id == key[0])
                & (budget_windows.c.starts_us == key[1])
                & (budget_windows.c.reserved_nanousd == before[0])
                & (budget_windows.c.settled_nanousd == before[1])
            )
            values = dict(zip(("reserved_nanousd", "settled_nanousd", "unknown", "alerted_percent"), now, strict=True))
            done = await connection.execute(update(budget_windows).where(seen).values(values))
            if done.rowcount != 1:
                raise DatabaseUnavailable("a budget's counter changed while it was locked")
        if alerts:
            self.alerts += len(alerts)
            await connection.execute(self._database.insert_once(budget_alerts), alerts)
        gone = set(books.released)
        if gone:
            await connection.execute(delete(budget_holds).where(budget_holds.c.attempt_id.in_(sorted(gone))))
        kept = [hold for hold in books.holds if hold["attempt_id"] not in gone]
        if kept:
            await connection.execute(insert(budget_holds), kept)

    def _remember(self, openings: Sequence[Reservation], found: Sequence[Budget], books: _Books) -> None:
        now_us = _now_us()
        asked = (opening for opening in openings if opening.kind != "shadow")
        for place, opening in {_place(opening): opening for opening in asked}.items():
            over = [books.standings[key] for key in _windows(opening, found)]
            self._bindings[place] = Binding(
                hard=any(standing.budget.hard for standing in over),
                pressure=max((standing.pressure(now_us) for standing in over), default=0.0),
                until_us=min((s.ends_us for s in over if s.budget.paced and s.ends_us is not None), default=None),
            )
            self._bindings.move_to_end(place)
        while len(self._bindings) > _REMEMBERED:
            self._bindings.popitem(last=False)


def _place(reservation: Reservation) -> Place:
    return Place(org_id=reservation.tenant_id, team_id=reservation.team_id, key_id=reservation.key_id)


def _scopes(reservation: Reservation) -> tuple[Scope, ...]:
    """Whose budgets bind a call. What is asked in shadow is nobody's wish: it has a budget of its own."""
    if reservation.kind == "shadow":
        return (Scope(level="policy", id=reservation.policy or ""),)
    return _place(reservation).scopes


def _unbudgeted(opening: Reservation) -> RequestError:
    return NoBudget(f"What the policy {opening.policy} asks in shadow has no budget.")


def _windows(reservation: Reservation, found: Sequence[Budget]) -> dict[_Key, Window]:
    """Where an attempt is booked: by the moment at which it was opened."""
    scopes = _scopes(reservation)
    booked = {}
    for budget in found:
        if budget.scope in scopes:
            window = window_of(budget.period, reservation.opened_us)
            booked[budget.budget_id, window[0]] = window
    return booked


def _counts(standing: Standing) -> tuple[int, int, int, int]:
    return standing.reserved_nanousd, standing.settled_nanousd, standing.unknown, standing.alerted_percent


def _reached(standing: Standing, *, refused: bool) -> list[dict[str, Any]]:
    """Rows for the thresholds that are reached for the first time; a refusal is as much as all of it."""
    amount, now_us = standing.budget.amount_nanousd, _now_us()
    reached = [
        percent
        for percent in sorted(standing.budget.alert_percents)
        if percent > standing.alerted_percent
        and (standing.settled_nanousd * 100 >= percent * amount or (refused and percent <= 100))
    ]
    if reached:
        standing.alerted_percent = reached[-1]
    return [
        {
            "budget_id": standing.budget.budget_id,
            "starts_us": standing.starts_us,
            "percent": percent,
            "raised_us": now_us,
            "settled_nanousd": standing.settled_nanousd,
            "amount_nanousd": amount,
            "tries": 0,
            "next_try_us": now_us,
        }
        for percent in reached
    ]


def _now_us() -> int:
    return time.time_ns() // 1000
