"""Whatever order calls are reserved, settled, given up, swept, corrected and priced anew in, the books balance."""

import asyncio
import tempfile
import time
from collections.abc import Coroutine
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from gateway.database import Database
from gateway.ledger.billing import Correction, Line, Reservation, Settlement, at_bound, never_sent, settle
from gateway.ledger.group import Group
from gateway.ledger.liveness import Identity
from gateway.ledger.repricing import reprice
from gateway.ledger.reservations import Reservations
from gateway.ledger.store import LedgerStore
from gateway.ledger.tables import attempts, corrections, entries, line_items, settlements
from gateway.ledger.verify import verify
from router.ids import new_id
from router.pricing import Price, PriceBook, price_of
from scorer.answer import Usage
from tests.crashing import Counter, counted, prepare
from tests.databases import rows_of
from tests.ledgers import a_record, an_attempt

T = TypeVar("T")
AMOUNTS = st.one_of(st.none(), st.integers(0, 10**15))
TOKENS = st.tuples(st.integers(0, 5000), st.integers(0, 5000), st.integers(0, 5000))
RATES = st.decimals(0, 100, places=6)


class Books(RuleBasedStateMachine):
    """A model of dictionaries beside the real thing."""

    opened: Bundle[Reservation] = Bundle("opened")
    ended: Bundle[Reservation] = Bundle("ended")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.loop = asyncio.new_event_loop()
        url = f"sqlite+aiosqlite:///{Path(self.folder.name) / 'ledger.db'}"
        self.run(prepare(url))
        self.database = Database(url)
        counter: Reservations = Counter()
        self.stores = [LedgerStore(self.database, new_id("wr"), counter) for _ in range(2)]
        for store in self.stores:
            self.run(store.register(Identity(place="here", process="1/0"), 1))
        self.reserved: dict[str, int] = {}  # of open attempts
        self.cost: dict[str, int | None] = {}  # of settled ones
        self.corrected: dict[str, int] = {}
        self.counted: dict[str, Usage] = {}  # of settled ones, as far as it is known

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def write(self, group: Group, *, store: int = 0, again: bool = False) -> None:
        self.run(self.stores[store].write(group, again=again))

    @rule(target=opened, bound=AMOUNTS, kind=st.sampled_from(["answer", "shadow"]), repeat=st.booleans())
    def reserve(self, bound: int | None, kind: Any, repeat: bool) -> Reservation:
        record = a_record()
        reservation = Reservation(
            attempt_id=new_id("att"),
            decision_id=record.decision_id,
            tenant_id="acme",
            model="m",
            opened_us=time.time_ns() // 1000,
            reserved_nanousd=bound,
            price=None,
            price_version=None,
            kind=kind,
        )
        group = Group(requests=[record], reservations=[reservation])
        self.write(group)
        if repeat:  # an unconfirmed commit is made again, by this process or from its spool
            self.write(group)
            self.write(Group(requests=[record], reservations=[reservation]), store=1, again=True)
        self.reserved[reservation.attempt_id] = bound or 0
        return reservation

    @rule(target=ended, reservation=consumes(opened), amount=AMOUNTS, parts=st.integers(1, 3), repeat=st.booleans())
    def settle(self, reservation: Reservation, amount: int | None, parts: int, repeat: bool) -> Reservation:
        lines = tuple(
            Line(meter=f"m{n}", quantity=n, rate_usd=None, price_version=None, amount_nanousd=part)
            for n, part in enumerate(_split(amount, parts))
        )
        ending = Settlement(reservation=reservation, state="accepted", amount_nanousd=amount, lines=lines)
        return self._end(reservation, ending, repeat)

    @rule(target=ended, reservation=consumes(opened), tokens=TOKENS, rate=st.one_of(st.none(), RATES))
    def count(self, reservation: Reservation, tokens: tuple[int, int, int], rate: Decimal | None) -> Reservation:
        usage = Usage(prompt_tokens=tokens[0] + tokens[1], cached_prompt_tokens=tokens[0], completion_tokens=tokens[2])
        price = None if rate is None else _price(rate)
        attempt = an_attempt(id=reservation.attempt_id, model="m", usage=usage)
        self.counted[reservation.attempt_id] = usage
        return self._end(reservation, settle(attempt, replace(reservation, price=price)), False)

    @rule(rate=RATES, again=st.booleans())
    def reprice(self, rate: Decimal, again: bool) -> None:
        book = PriceBook([_price(rate)])
        beginning = datetime(2020, 1, 1, tzinfo=UTC)
        self.run(reprice(self.database, self.stores[1], book, beginning, reason="the list was wrong"))
        if again:
            done = self.run(reprice(self.database, self.stores[0], book, beginning, reason="the list was wrong"))
            assert done.corrected == 0
        for attempt_id, usage in self.counted.items():
            self.cost[attempt_id] = price_of(usage, _price(rate)).nanousd
        for row in self.run(rows_of(self.database, corrections)):
            self.corrected[row["attempt_id"]] = max(row["seq"], self.corrected.get(row["attempt_id"], 0))

    @rule(target=ended, reservation=consumes(opened), repeat=st.booleans())
    def cancel(self, reservation: Reservation, repeat: bool) -> Reservation:
        return self._end(reservation, never_sent(reservation), repeat)

    @rule(target=ended, reservation=consumes(opened), late=st.booleans())
    def sweep(self, reservation: Reservation, late: bool) -> Reservation:
        ending = Settlement(reservation=reservation, state="failed", **at_bound(reservation))
        self._end(reservation, ending, False, store=1)
        if late:  # its process lives on after all, and changes nothing
            self.write(Group(settlements=[(9, never_sent(reservation))]), again=True)
        return reservation

    @rule(reservation=ended, change=st.integers(-(10**12), 10**12), event=st.sampled_from(["correct", "reprice"]))
    def correct(self, reservation: Reservation, change: int, event: Any) -> None:
        seq = self.corrected.get(reservation.attempt_id, 0) + 1
        line = Line(meter="input", quantity=0, rate_usd=None, price_version=None, amount_nanousd=change)
        correction = Correction(
            reservation=reservation,
            seq=seq,
            event=event,
            amount_nanousd=change,
            lines=(line,),
            price_version=None,
            reason="found out",
        )
        self.write(Group(corrections=[(7, correction)]), store=seq % 2)
        self.corrected[reservation.attempt_id] = seq
        self.cost[reservation.attempt_id] = (self.cost[reservation.attempt_id] or 0) + change

    def _end(self, reservation: Reservation, ending: Settlement, repeat: bool, store: int = 0) -> Reservation:
        group = Group(settlements=[(5, ending)])
        self.write(group, store=store)
        if repeat:
            self.write(group, store=store)
            self.write(Group(settlements=[(6, ending)]), store=1 - store, again=True)
        del self.reserved[reservation.attempt_id]
        self.cost[reservation.attempt_id] = ending.amount_nanousd
        return reservation

    @invariant()
    def the_books_balance(self) -> None:
        spent = sum(cost or 0 for cost in self.cost.values())
        reserved = sum(self.reserved.values())
        balances = {"tenant": 0, "overhead": 0, "reserved": 0, "provider": 0}
        for row in self.run(rows_of(self.database, entries)):
            balances[row["debit"]] += row["amount_nanousd"]
            balances[row["credit"]] -= row["amount_nanousd"]
        assert sum(balances.values()) == 0
        assert balances["reserved"] == -reserved
        assert balances["provider"] == -spent
        assert balances["tenant"] + balances["overhead"] == spent + reserved
        assert self.run(counted(self.database)) == (reserved, spent)

    @invariant()
    def every_attempt_is_there_once_with_what_it_costs(self) -> None:
        assert {row["attempt_id"] for row in self.run(rows_of(self.database, attempts))} == {*self.reserved, *self.cost}
        cost = {row["attempt_id"]: row["amount_nanousd"] for row in self.run(rows_of(self.database, settlements))}
        for row in self.run(rows_of(self.database, corrections)):
            cost[row["attempt_id"]] = (cost[row["attempt_id"]] or 0) + row["amount_nanousd"]
        assert cost == self.cost
        lines: dict[str, int] = {}
        for row in self.run(rows_of(self.database, line_items)):
            lines[row["attempt_id"]] = lines.get(row["attempt_id"], 0) + (row["amount_nanousd"] or 0)
        assert {name: amount for name, amount in lines.items() if amount} == {
            name: amount for name, amount in cost.items() if amount
        }

    def teardown(self) -> None:
        verdict = self.run(verify(self.database))
        assert verdict.is_sound, verdict.findings[:3]
        self.run(self.database.dispose())
        self.loop.close()
        self.folder.cleanup()


def _price(rate: Decimal) -> Price:
    return Price(model="m", rates={"input": rate, "cached_input": rate / 2, "output": rate * 4})


def _split(amount: int | None, parts: int) -> list[int | None]:
    if amount is None:
        return [None]
    first: list[int | None] = [amount // parts] * (parts - 1)
    return [*first, amount - amount // parts * (parts - 1)]


TestBooks = Books.TestCase
TestBooks.settings = settings(
    max_examples=12, stateful_step_count=15, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
