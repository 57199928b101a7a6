"""A budget as it is stored and as it is spoken of. Knows columns and words."""

from collections.abc import Mapping
from typing import Any

import orjson

from gateway.budgets.budget import Budget
from gateway.tenancy.scope import Scope


def budget_of(row: Mapping[Any, Any]) -> Budget:
    """Out of the table."""
    return Budget(
        budget_id=row["budget_id"],
        scope=Scope(level=row["level"], id=row["scope_id"]),
        period=row["period"],
        amount_nanousd=row["amount_nanousd"],
        hard=row["hard"],
        paced=row["paced"],
        alert_percents=tuple(orjson.loads(row["alert_percents"])),
    )


def columns_of(budget: Budget) -> dict[str, Any]:
    """Into the table."""
    return {
        "budget_id": budget.budget_id,
        "level": budget.scope.level,
        "scope_id": budget.scope.id,
        "period": budget.period,
        "amount_nanousd": budget.amount_nanousd,
        "hard": budget.hard,
        "paced": budget.paced,
        "alert_percents": orjson.dumps(budget.alert_percents).decode(),
    }
