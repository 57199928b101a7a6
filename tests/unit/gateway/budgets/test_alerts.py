"""Alerts are told at least once, signed, with bounded tries, by one process at a time, whatever the other side does."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import insert, update

from gateway.budgets.alerts import MOST_TRIES, AlertStore, Herald
from gateway.budgets.budget import Budget
from gateway.budgets.store import BudgetStore
from gateway.budgets.tables import budget_alerts
from gateway.database import Database
from gateway.tenancy.scope import Scope
from tests.databases import rows_of

SECRET = b"a secret of twenty or more"


class Webhook:
    """Keeps what it is told; answers as it is told to, with a status or an error."""

    def __init__(self, *answers: int | Exception) -> None:
        self.answers, self.told = list(answers), list[tuple[bytes, dict[str, str]]]()

    async def __call__(self, body: bytes, headers: dict[str, str]) -> int:
        self.told.append((body, headers))
        answer = self.answers.pop(0) if self.answers else 204
        if isinstance(answer, Exception):
            raise answer
        return answer


Raise = Callable[[int], Awaitable[None]]


@pytest.fixture
async def reach(database: Database) -> Raise:
    """Reaches a threshold of a budget."""
    budget = Budget(budget_id="", scope=Scope(level="org", id="o"), period="monthly", amount_nanousd=10**9, hard=True)
    made = await BudgetStore(database).set(budget)

    async def raise_(percent: int) -> None:
        row: dict[str, Any] = {"budget_id": made.budget_id, "starts_us": 0, "percent": percent, "raised_us": percent}
        row |= {"settled_nanousd": 5 * 10**8, "amount_nanousd": 10**9, "tries": 0, "next_try_us": 1}
        async with database.write() as connection:
            await connection.execute(insert(budget_alerts), row)

    return raise_


async def due_again(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(
            update(budget_alerts).where(budget_alerts.c.next_try_us.is_not(None)).values(next_try_us=1)
        )


async def test_what_is_told_says_what_was_reached_and_is_signed(database: Database, reach: Raise) -> None:
    webhook = Webhook()
    await reach(50)
    assert await Herald(AlertStore(database), webhook, SECRET).tell() == 1
    ((body, headers),) = webhook.told
    told = json.loads(body)
    assert (told["type"], told["percent"], told["budget"]["settled_usd"]) == ("budget.threshold_reached", 50, "0.5")
    moment, mark = (part.partition("=")[2] for part in headers["x-spillway-signature"].split(","))
    assert mark == hmac.new(SECRET, f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    assert await Herald(AlertStore(database), webhook, SECRET).tell() == 0  # once is enough
    (listed,) = await AlertStore(database).latest(10)
    assert (listed["state"], listed["tries"]) == ("told", 1)


async def test_what_does_not_arrive_is_told_again_even_by_the_next_process(database: Database, reach: Raise) -> None:
    await reach(50)
    for answer, trouble in ((500, "answered 500"), (OSError("nobody there"), "nobody there"), (302, "answered 302")):
        assert await Herald(AlertStore(database), Webhook(answer), SECRET).tell() == 0
        (listed,) = await AlertStore(database).latest(10)
        assert listed["state"] == "waiting"
        assert trouble in listed["trouble"]
        assert await Herald(AlertStore(database), Webhook(), SECRET).tell() == 0  # not at once
        await due_again(database)
    webhook = Webhook()
    assert await Herald(AlertStore(database), webhook, SECRET).tell() == 1
    assert (await AlertStore(database).latest(10))[0]["trouble"] is None


async def test_tries_are_bounded(database: Database, reach: Raise) -> None:
    await reach(50)
    webhook = Webhook(*[500] * 99)
    for _ in range(MOST_TRIES + 5):
        await Herald(AlertStore(database), webhook, SECRET).tell()
        await due_again(database)
    assert len(webhook.told) == MOST_TRIES
    assert (await AlertStore(database).latest(10))[0]["state"] == "given up"


async def test_a_webhook_that_fails_holds_up_no_other_alert(database: Database, reach: Raise) -> None:
    await reach(50)
    await reach(80)
    webhook = Webhook(500)
    assert await Herald(AlertStore(database), webhook, SECRET).tell() == 1
    assert [json.loads(body)["percent"] for body, _ in webhook.told] == [50, 80]


async def test_of_several_processes_one_tells(database: Database, reach: Raise) -> None:
    webhook = Webhook()
    await reach(50)
    await reach(80)
    heralds = [Herald(AlertStore(database), webhook, SECRET) for _ in range(4)]
    assert sum(await asyncio.gather(*(herald.tell() for herald in heralds))) == 2
    assert len({row["percent"] for row in await rows_of(database, budget_alerts) if row["told_us"]}) == 2
    assert len(webhook.told) == 2
