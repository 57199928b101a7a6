"""Alerts: a threshold that was reached is told to a webhook, at least once, signed, and never on the way of a request.

The row that says that a threshold was reached is written in the transaction that reached it, once per budget, window
and threshold; it is kept until it was told, so neither a restart nor an outage loses one. Of several processes one
tells: it takes a row by moving its next try into the future.
Knows the table, the words and the signature. Whether a URL may be called is the guard's to say.
"""

import asyncio
import hashlib
import hmac
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import select, update

from gateway.budgets.tables import budget_alerts, budgets
from gateway.database import Database, DatabaseError, DatabaseUnavailable
from gateway.ledger.entry import usd

Post = Callable[[bytes, dict[str, str]], Awaitable[int]]
"""Sends a body with headers and returns the status. Raises whatever stands against it."""

MOST_TRIES = 10
_LEASE_US = 60_000_000  # a process that took an alert and died is relieved after this
_LONGEST_WAIT_S = 3600
_AT_ONCE = 20
_log = logging.getLogger("spillway.alerts")


class AlertStore:
    """The alerts of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def latest(self, limit: int) -> list[dict[str, Any]]:
        """The newest ones, as they are told to those who manage."""
        query = select(budget_alerts).order_by(budget_alerts.c.raised_us.desc()).limit(limit)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [
            {
                "budget": row["budget_id"],
                "percent": row["percent"],
                "raised": _iso(row["raised_us"]),
                "settled_usd": usd(row["settled_nanousd"]),
                "limit_usd": usd(row["amount_nanousd"]),
                "state": _state(row),
                "tries": row["tries"],
                "trouble": row["trouble"],
            }
            for row in rows
        ]

    async def take(self, now_us: int) -> list[dict[str, Any]]:
        """Alerts that are to be told now, with their budgets; nobody else takes them for a while."""
        due = budget_alerts.c.next_try_us <= now_us
        query = (
            select(budget_alerts, budgets.c.level, budgets.c.scope_id, budgets.c.period, budgets.c.hard)
            .join(budgets, budgets.c.budget_id == budget_alerts.c.budget_id)
            .where(due)
            .order_by(budget_alerts.c.raised_us, budget_alerts.c.percent)
            .limit(_AT_ONCE)
        )
        async with self._database.read() as connection:
            found = [dict(row) for row in (await connection.execute(query)).mappings()]
        taken = []
        for alert in found:
            values = {"next_try_us": now_us + _LEASE_US, "tries": alert["tries"] + 1}
            if await self._change(alert, alert["next_try_us"], values):
                taken.append(alert | values)
        return taken

    async def told(self, alert: dict[str, Any], now_us: int) -> None:
        """It has arrived."""
        await self._change(alert, alert["next_try_us"], {"next_try_us": None, "told_us": now_us, "trouble": None})

    async def failed(self, alert: dict[str, Any], now_us: int, trouble: str) -> None:
        """It has not: it is tried again, ever more rarely, and given up after ``MOST_TRIES``."""
        wait_s = min(_LONGEST_WAIT_S, 2 ** alert["tries"])
        again = None if alert["tries"] >= MOST_TRIES else now_us + wait_s * 1_000_000
        await self._change(alert, alert["next_try_us"], {"next_try_us": again, "trouble": trouble[:500]})

    async def _change(self, alert: dict[str, Any], seen_us: int | None, values: dict[str, Any]) -> bool:
        same = (
            (budget_alerts.c.budget_id == alert["budget_id"])
            & (budget_alerts.c.starts_us == alert["starts_us"])
            & (budget_alerts.c.percent == alert["percent"])
            & (budget_alerts.c.next_try_us == seen_us)
        )
        async with self._database.write() as connection:
            done = await connection.execute(update(budget_alerts).where(same).values(values))
        return done.rowcount == 1


class Herald:
    """Tells alerts for as long as it runs.

    post : where to, see ``Post``.   secret : signs what is told.   every_s : between looks for new ones.
    """

    def __init__(self, store: AlertStore, post: Post, secret: bytes, *, every_s: float = 5.0) -> None:
        self._store, self._post, self._secret, self._every_s = store, post, secret, every_s

    async def run(self) -> None:
        """Until it is cancelled. A database that is away is waited for."""
        while True:
            try:
                await self.tell()
            except (DatabaseUnavailable, DatabaseError) as error:
                _log.warning("alerts cannot be looked for: %s", error)
            await asyncio.sleep(self._every_s)

    async def tell(self) -> int:
        """Tell everything that is due, and return how much of it arrived."""
        arrived = 0
        for alert in await self._store.take(_now_us()):
            try:
                status = await self._post(*signed(alert, self._secret, int(time.time())))
                trouble = None if 200 <= status < 300 else f"the webhook answered {status}"
            except Exception as error:  # noqa: BLE001 - whatever a stranger's server does, the next alert is told
                trouble = str(error) or type(error).__name__
            if trouble is None:
                await self._store.told(alert, _now_us())
                arrived += 1
            else:
                _log.warning("alert on %s at %d %% did not arrive: %s", alert["budget_id"], alert["percent"], trouble)
                await self._store.failed(alert, _now_us(), trouble)
        return arrived


def signed(alert: dict[str, Any], secret: bytes, at_s: int) -> tuple[bytes, dict[str, str]]:
    """What is sent. ``x-spillway-signature`` is ``t=<seconds>,v1=<hex HMAC-SHA256 of "<seconds>.<body>">``.

    ``id`` is the same however often an alert is told: who has seen it before may drop it.
    """
    body = orjson.dumps(
        {
            "type": "budget.threshold_reached",
            "id": f"{alert['budget_id']}:{alert['starts_us']}:{alert['percent']}",
            "percent": alert["percent"],
            "budget": {
                "id": alert["budget_id"],
                "level": alert["level"],
                "scope": alert["scope_id"],
                "period": alert["period"],
                "kind": "hard" if alert["hard"] else "soft",
                "limit_usd": usd(alert["amount_nanousd"]),
                "settled_usd": usd(alert["settled_nanousd"]),
                "window_began": _iso(alert["starts_us"]),
            },
            "raised": _iso(alert["raised_us"]),
        }
    )
    mark = hmac.new(secret, f"{at_s}.".encode() + body, hashlib.sha256).hexdigest()
    return body, {"content-type": "application/json", "x-spillway-signature": f"t={at_s},v1={mark}"}


def _state(row: Any) -> str:
    if row["told_us"] is not None:
        return "told"
    return "given up" if row["next_try_us"] is None else "waiting"


def _iso(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _now_us() -> int:
    return time.time_ns() // 1000
