"""Budgets: set, removed, listed with how they stand.

Knows their tables. Decides nothing about who may do so: see ``gateway/admin/treasury.py``.
"""

import time
from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import and_, insert, select, update

from gateway.budgets.budget import Budget, Standing
from gateway.budgets.rows import budget_of, columns_of
from gateway.budgets.tables import budget_windows, budgets
from gateway.budgets.windows import window_of
from gateway.database import Database
from gateway.errors import NotFound
from gateway.tenancy.scope import Scope
from router.ids import new_id


class BudgetStore:
    """The budgets of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def set(self, budget: Budget) -> Budget:
        """Make a budget, or change the one that its scope has for the same period and of the same hardness.

        It holds from the next call on, in every process, and counts what is opened from then on.
        """
        same = and_(
            budgets.c.level == budget.scope.level,
            budgets.c.scope_id == budget.scope.id,
            budgets.c.period == budget.period,
            budgets.c.hard.is_(budget.hard),
            budgets.c.removed_us.is_(None),
        )
        async with self._database.write() as connection:
            known = (await connection.execute(select(budgets.c.budget_id).where(same))).scalars().first()
            made = replace(budget, budget_id=known or new_id("bud"))
            columns = columns_of(made)
            if known is None:
                await connection.execute(insert(budgets), columns | {"created_us": _now_us()})
            else:
                await connection.execute(update(budgets).where(budgets.c.budget_id == known).values(columns))
        return made

    async def keep(self, budget: Budget) -> None:
        """Make a budget under its own id, or change it to this. However many do so at once, there is one."""
        row = columns_of(budget) | {"created_us": _now_us()}
        own = budgets.c.budget_id == budget.budget_id
        async with self._database.write() as connection:
            await connection.execute(self._database.insert_once(budgets), [row])
            await connection.execute(update(budgets).where(own).values(columns_of(budget) | {"removed_us": None}))

    async def remove(self, budget_id: str) -> None:
        """Let a budget bind nobody from now on; its windows stay on record. Raises NotFound."""
        live = (budgets.c.budget_id == budget_id) & budgets.c.removed_us.is_(None)
        async with self._database.write() as connection:
            done = await connection.execute(update(budgets).where(live).values(removed_us=_now_us()))
        if done.rowcount == 0:
            raise NotFound(f"there is no budget {budget_id!r}", code="budget_not_found")

    async def get(self, budget_id: str) -> Budget:
        """One that holds. Raises NotFound."""
        query = select(budgets).where(budgets.c.budget_id == budget_id, budgets.c.removed_us.is_(None))
        async with self._database.read() as connection:
            row = (await connection.execute(query)).mappings().first()
        if row is None:
            raise NotFound(f"there is no budget {budget_id!r}", code="budget_not_found")
        return budget_of(row)

    async def standings(
        self, scopes: Sequence[Scope] | None = None, *, now_us: int | None = None
    ) -> tuple[Standing, ...]:
        """How the budgets of these scopes, or all, stand in the window of the moment."""
        query = select(budgets).where(budgets.c.removed_us.is_(None)).order_by(budgets.c.created_us)
        if scopes is not None:
            query = query.where(budgets.c.scope_id.in_([scope.id for scope in scopes]))
        now_us = _now_us() if now_us is None else now_us
        async with self._database.read() as connection:
            found = [budget_of(row) for row in (await connection.execute(query)).mappings()]
            starts = {window_of(budget.period, now_us)[0] for budget in found}
            current = select(budget_windows).where(budget_windows.c.starts_us.in_(starts))
            rows = {(r["budget_id"], r["starts_us"]): r for r in (await connection.execute(current)).mappings()}
        standings = []
        for budget in found:
            if scopes is not None and budget.scope not in scopes:
                continue
            starts_us, ends_us = window_of(budget.period, now_us)
            standing = Standing(budget=budget, starts_us=starts_us, ends_us=ends_us)
            if (row := rows.get((budget.budget_id, starts_us))) is not None:
                standing.reserved_nanousd, standing.settled_nanousd = row["reserved_nanousd"], row["settled_nanousd"]
                standing.unknown, standing.alerted_percent = row["unknown"], row["alerted_percent"]
            standings.append(standing)
        return tuple(standings)


def _now_us() -> int:
    return time.time_ns() // 1000
