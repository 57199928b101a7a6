"""The counters against a model: whatever is opened, settled, corrected or spooled, in which order and groups ever."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.budgets.budget import Budget
from gateway.budgets.counters import BudgetCounters
from gateway.budgets.store import BudgetStore
from gateway.budgets.tables import budget_alerts, budget_holds, budget_windows
from gateway.budgets.windows import window_of
from gateway.database import Database, DatabaseUnavailable
from gateway.ledger.billing import Reservation
from gateway.ledger.reservations import Movement
from gateway.tenancy.scope import Scope
from router.ids import new_id
from tests.databases import rows_of

DAY_US = 86_400_000_000
BEGIN_US = 1_900_000_000_000_000


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One database for all examples; each has an organisation of its own."""
    found = f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('counters') / 'budgets.db'}"

    async def migrate() -> None:
        database = Database(found)
        await database.migrate()
        await database.dispose()

    asyncio.run(migrate())
    return found


def opening(org: str, team: str | None, amount: int | None, day: int, *, spooled: bool = False) -> Reservation:
    return Reservation(
        attempt_id=new_id("att"),
        decision_id=new_id("dec"),
        kind="answer",
        stage=0,
        model="m",
        tenant_id=org,
        team_id=team,
        key_id=None,
        opened_us=BEGIN_US + day * DAY_US,
        reserved_nanousd=amount,
        price=None,
        price_version="p",
        spooled=spooled,
    )


def settles(made: Reservation, amount: int | None) -> Movement:
    released = made.reserved_nanousd or 0
    return Movement(reservation=made, event="settle", at_us=0, released_nanousd=released, charged_nanousd=amount)


def corrects(made: Reservation, amount: int) -> Movement:
    return Movement(reservation=made, event="correct", at_us=0, released_nanousd=0, charged_nanousd=amount)


async def set_budget(database: Database, level: str, name: str, period: str, amount: int, **rules: Any) -> Budget:
    values = {"hard": True} | rules
    scope = Scope(level=level, id=name)  # type: ignore[arg-type]  # a test's plain string
    return await BudgetStore(database).set(
        Budget(budget_id="", scope=scope, period=period, amount_nanousd=amount, **values)  # type: ignore[arg-type]  # the same
    )


async def post(database: Database, counters: BudgetCounters, *things: Reservation | Movement) -> dict[str, Exception]:
    async with database.write() as connection:
        openings = [thing for thing in things if isinstance(thing, Reservation)]
        movements = [thing for thing in things if isinstance(thing, Movement)]
        return dict(await counters.post(connection, openings, movements))


steps = st.lists(
    st.tuples(
        st.sampled_from(["open", "open", "open", "settle", "settle", "spool", "correct"]),
        st.integers(0, 60),  # an amount
        st.integers(0, 2),  # a team, or none
        st.integers(0, 20),  # a day
        st.booleans(),  # whether it goes together with the next
    ),
    max_size=25,
)


class Model:
    """What the counters should say, by the plainest arithmetic."""

    def __init__(self, budgets: list[Budget]) -> None:
        self.budgets, self.reserved, self.settled = budgets, dict[Any, int](), dict[Any, int]()

    def keys(self, made: Reservation) -> list[tuple[Budget, tuple[str, int]]]:
        own = {made.tenant_id, made.team_id}
        over = [budget for budget in self.budgets if budget.scope.id in own]
        return [(budget, (budget.budget_id, window_of(budget.period, made.opened_us)[0])) for budget in over]

    def fits(self, made: Reservation) -> bool:
        need = made.reserved_nanousd or 0
        return need == 0 or all(
            not budget.hard or self.reserved.get(k, 0) + self.settled.get(k, 0) + need <= budget.amount_nanousd
            for budget, k in self.keys(made)
        )

    def move(self, made: Reservation, reserved: int, settled: int) -> None:
        for _, key in self.keys(made):
            self.reserved[key] = self.reserved.get(key, 0) + reserved
            self.settled[key] = self.settled.get(key, 0) + settled


class Game:
    """Steps are gathered into groups; each group is a transaction, and is compared with the model."""

    def __init__(self, database: Database, org: str, budgets: list[Budget]) -> None:
        self.database, self.counters = database, BudgetCounters(database)
        self.org, self.teams = org, (f"{org}_a", f"{org}_b", None)
        self.model, self.budgets = Model(budgets), {budget.budget_id: budget for budget in budgets}
        self.open, self.ended = list[Reservation](), list[Reservation]()
        self.group: list[Reservation | Movement] = []
        self.exempt = False  # spooled calls, overruns and corrections may go over

    def step(self, what: str, amount: int, team: int, day: int) -> None:
        if what in ("open", "spool"):
            self.group.append(opening(self.org, self.teams[team], amount, day, spooled=what == "spool"))
            self.exempt |= what == "spool"
        elif what == "settle" and self.open:
            made = self.open.pop(amount % len(self.open))
            reserved = made.reserved_nanousd or 0
            charged = amount if day < 2 else min(amount, reserved)
            self.exempt |= charged > reserved
            self.group.append(settles(made, charged))
            self.ended.append(made)
        elif what == "correct" and self.ended:
            self.group.append(corrects(self.ended[amount % len(self.ended)], amount))
            self.exempt = True

    async def commit(self) -> None:
        refused = await post(self.database, self.counters, *self.group)
        for movement in (thing for thing in self.group if isinstance(thing, Movement)):
            self.model.move(movement.reservation, -movement.released_nanousd, movement.charged_nanousd or 0)
        for made in (thing for thing in self.group if isinstance(thing, Reservation)):
            assert (made.attempt_id not in refused) == (made.spooled or self.model.fits(made))
            if made.attempt_id not in refused:
                self.model.move(made, made.reserved_nanousd or 0, 0)
                self.open.append(made)
        self.group = []

    async def compare(self) -> None:
        for row in await rows_of(self.database, budget_windows):
            budget = self.budgets.get(row["budget_id"])
            if budget is None:
                continue
            key = (row["budget_id"], row["starts_us"])
            assert row["reserved_nanousd"] == self.model.reserved.get(key, 0)
            assert row["settled_nanousd"] == self.model.settled.get(key, 0)
            if budget.hard and not self.exempt:
                assert row["reserved_nanousd"] + row["settled_nanousd"] <= budget.amount_nanousd
        held = await rows_of(self.database, budget_holds)
        own = {row["attempt_id"] for row in held if row["budget_id"] in self.budgets}
        assert own == {made.attempt_id for made in self.open}


async def play(url: str, plan: list[tuple[str, int, int, int, bool]]) -> None:
    database, org = Database(url), new_id("org")
    budgets = [
        await set_budget(database, "org", org, "weekly", 150),
        await set_budget(database, "org", org, "total", 60, hard=False),
        await set_budget(database, "team", f"{org}_a", "daily", 80),
        await set_budget(database, "team", f"{org}_b", "monthly", 90),
    ]
    game = Game(database, org, budgets)
    for what, amount, team, day, together in plan:
        game.step(what, amount, team, day)
        if not together:
            await game.commit()
    await game.commit()
    await game.compare()
    await database.dispose()


@settings(max_examples=40)
@given(plan=steps)
def test_counters_are_what_plain_arithmetic_says(url: str, plan: list[tuple[str, int, int, int, bool]]) -> None:
    asyncio.run(play(url, plan))


async def test_an_attempt_that_ends_in_its_own_transaction_leaves_nothing(database: Database) -> None:
    counters = BudgetCounters(database)
    await set_budget(database, "org", "o", "total", 100)
    made = opening("o", None, 70, 0)
    assert not await post(database, counters, made, settles(made, 30))
    (row,) = await rows_of(database, budget_windows)
    assert (row["reserved_nanousd"], row["settled_nanousd"]) == (0, 30)
    assert not await rows_of(database, budget_holds)


async def test_what_is_not_known_counts_as_what_was_set_aside(database: Database) -> None:
    counters = BudgetCounters(database)
    await set_budget(database, "org", "o", "total", 100)
    made = opening("o", None, 70, 0)
    await post(database, counters, made)
    await post(database, counters, settles(made, None))
    (row,) = await rows_of(database, budget_windows)
    assert (row["settled_nanousd"], row["unknown"]) == (70, 1)


async def test_a_rolled_back_window_is_made_again(database: Database) -> None:
    counters = BudgetCounters(database)
    await set_budget(database, "org", "o", "total", 100)

    class Undone(Exception):
        """So that nothing is committed."""

    async def rolled_back() -> None:
        async with database.write() as connection:
            await counters.post(connection, [opening("o", None, 10, 0)], [])
            raise Undone

    with pytest.raises(Undone):
        await rolled_back()
    with pytest.raises(DatabaseUnavailable, match="made again"):  # upon which the ledger repeats its group
        await post(database, counters, opening("o", None, 10, 0))
    await post(database, counters, opening("o", None, 10, 0))
    (row,) = await rows_of(database, budget_windows)
    assert row["reserved_nanousd"] == 10


async def test_what_a_process_knows_says_who_may_go_on_without_a_database(database: Database) -> None:
    counters = BudgetCounters(database)
    free, bound = opening("free", None, 10, 0), opening("bound", None, 10, 0)
    assert not counters.may_spool(free)  # nothing is known yet
    await set_budget(database, "org", "bound", "total", 100)
    await set_budget(database, "org", "free", "total", 100, hard=False)
    await post(database, counters, free, bound)
    assert counters.may_spool(free)
    assert not counters.may_spool(bound)


async def test_calls_under_way_that_are_in_the_way_alarm_nobody(database: Database) -> None:
    counters = BudgetCounters(database)
    await set_budget(database, "org", "o", "total", 100)
    first, second = opening("o", None, 20, 0), opening("o", None, 70, 0)
    await post(database, counters, first, second)
    await post(database, counters, settles(first, 20))
    assert await post(database, counters, opening("o", None, 40, 0))  # it will fit when the second has cost less
    assert not await rows_of(database, budget_alerts)


async def test_each_threshold_is_reached_once(database: Database) -> None:
    counters = BudgetCounters(database)
    await set_budget(database, "org", "o", "total", 100, alert_percents=(50, 80, 100))
    for amount in (40, 15, 40):
        made = opening("o", None, amount, 0)
        await post(database, counters, made)
        await post(database, counters, settles(made, amount))
    for _ in range(3):
        assert await post(database, counters, opening("o", None, 6, 0))  # does not fit
    assert [row["percent"] for row in await rows_of(database, budget_alerts)] == [50, 80, 100]


async def test_what_is_asked_in_shadow_is_booked_in_its_policys_budget_and_in_no_tenants(database: Database) -> None:
    store, counters = BudgetStore(database), BudgetCounters(database)
    tenants = await store.set(
        Budget(budget_id="", scope=Scope(level="org", id="acme"), period="total", amount_nanousd=0, hard=True)
    )
    shadow = replace(opening("acme", None, 60, 0), kind="shadow", policy="default")
    async with database.write() as connection:
        refused = await counters.post(connection, [shadow], [])
    assert "has no budget" in str(refused[shadow.attempt_id])
    assert not counters.may_spool(shadow)

    own = Budget(
        budget_id="bud_shadow", scope=Scope(level="policy", id="default"), period="daily", amount_nanousd=100, hard=True
    )
    await asyncio.gather(*(store.keep(own) for _ in range(4)))
    second = replace(shadow, attempt_id=new_id("att"))
    async with database.write() as connection:
        refused = await counters.post(connection, [shadow, second], [])
    assert set(refused) == {second.attempt_id}
    async with database.write() as connection:
        await counters.post(connection, [], [settles(shadow, 50)])
    standings = {one.budget.budget_id: one for one in await store.standings(now_us=BEGIN_US)}
    assert set(standings) == {tenants.budget_id, own.budget_id}
    assert (standings[own.budget_id].reserved_nanousd, standings[own.budget_id].settled_nanousd) == (0, 50)
    assert standings[tenants.budget_id].settled_nanousd == 0
    assert counters.refused == 0  # no client was


async def test_a_budget_under_its_own_id_is_changed_and_comes_back(database: Database) -> None:
    store = BudgetStore(database)
    own = Budget(budget_id="own", scope=Scope(level="policy", id="p"), period="daily", amount_nanousd=1, hard=True)
    await store.keep(own)
    await store.remove("own")
    await store.keep(replace(own, amount_nanousd=2))
    assert await store.get("own") == replace(own, amount_nanousd=2)
