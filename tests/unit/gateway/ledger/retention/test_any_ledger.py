"""Whatever stands in a ledger, wherever the horizon lies: reports say what they said before, and the chain holds."""

import asyncio
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from gateway.database import Database
from gateway.ledger.billing import Correction, Line, Reservation, Settlement
from gateway.ledger.entry import RequestClosing
from gateway.ledger.group import Group
from gateway.ledger.liveness import Identity
from gateway.ledger.reports import Reports, Span
from gateway.ledger.retention.retention import Ages, Retention
from gateway.ledger.savings import read_savings
from gateway.ledger.store import LedgerStore
from gateway.ledger.tables import line_items, settlements
from gateway.ledger.verify import verify
from tests.databases import rows_of
from tests.ledgers import a_record

FIRST = datetime(2026, 9, 29, tzinfo=UTC)
NOW = datetime(2027, 3, 1, tzinfo=UTC)
HOURS = 24 * 40  # to the seventh of November

calls = st.lists(
    st.tuples(
        st.integers(0, HOURS * 3600 - 1),  # when
        st.one_of(st.none(), st.integers(0, 10**12)),  # what it costs
        st.sampled_from(["answer", "shadow", "judge"]),
        st.sampled_from(["{}", "a", "b"]),
        st.one_of(st.none(), st.integers(-(10**9), 10**9)),  # what is found out later
    ),
    min_size=1,
    max_size=8,
)


async def write(database: Database, made: Sequence[tuple[int, int | None, str, str, int | None]]) -> None:
    stores = [LedgerStore(database, f"wr_{n}") for n in range(2)]
    for store in stores:
        await store.register(Identity(place="here", process="1/0"), 1)
    for n, (second, amount, kind, tag, change) in enumerate(made):
        moment = FIRST + timedelta(seconds=second)
        ms = int(moment.timestamp()) * 1000
        record = a_record(
            decision_id=f"dec_{ms:012x}7000800000000000{n:04x}", created=moment, tags={"who": tag}, reference_model="m"
        )
        reservation = Reservation(
            attempt_id=f"att_{ms:012x}7000800000000000{n:04x}", decision_id=record.decision_id, tenant_id="acme",
            model="m", opened_us=ms * 1000, reserved_nanousd=5, price=None, price_version="pr_1", kind=kind,  # type: ignore[arg-type] # one of them
        )  # fmt: skip
        line = Line(meter="input", quantity=1, rate_usd=None, price_version=None, amount_nanousd=amount)
        ending = Settlement(reservation=reservation, state="accepted", amount_nanousd=amount, lines=(line,))
        closing = RequestClosing(
            decision_id=record.decision_id, status="answered", cache_status="MISS", reference_nanousd=10**9,
            reference_source="modelled",
        )  # fmt: skip
        store = stores[n % 2]
        await store.write(Group(requests=[record], reservations=[reservation]), again=False)
        await store.write(
            Group(settlements=[(ms * 1000 + 1, ending)], closings=[(ms * 1000 + 2, closing)]), again=False
        )
        if change is not None:
            fix = Correction(
                reservation=reservation, seq=1, event="correct", amount_nanousd=change, lines=(), price_version=None,
                reason="found out",
            )  # fmt: skip
            await stores[1 - n % 2].write(Group(corrections=[(ms * 1000 + 3, fix)]), again=False)


async def told(database: Database, cuts: tuple[int, int]) -> list[object]:
    since, until = (FIRST + timedelta(hours=hour) for hour in sorted(cuts))
    spans = [Span(), Span(since=since, until=until), Span(until=until, tag=("who", "a"))]
    reports = Reports(database)
    rows: list[object] = [
        await reports.spend(by, span) for by in ("kind", "day", "hour", "tag:who") for span in spans[:2]
    ]
    saved = [(await read_savings(database, span)).as_json() for span in spans]
    return [
        rows,
        await reports.total(spans[2]),
        [one["saved_nanousd"] for one in saved],
        [one["by_source"] for one in saved],
    ]


@given(
    made=calls,
    cuts=st.tuples(st.integers(0, HOURS), st.integers(0, HOURS)),
    ages=st.tuples(st.integers(110, 140), st.integers(1, 25)),
    flip=st.integers(0, 2**16),
)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_reports_say_the_same_and_the_chain_holds(
    made: list[tuple[int, int | None, str, str, int | None]], cuts: tuple[int, int], ages: tuple[int, int], flip: int
) -> None:
    async def law(folder: Path) -> None:
        database = Database(f"sqlite+aiosqlite:///{folder / 'ledger.db'}")
        try:
            await database.migrate()
            await write(database, made)
            before = await told(database, cuts)
            done = await Retention(database).work(
                Ages(details=ages[0], money=ages[0] + ages[1]), int(NOW.timestamp()) * 1_000_000
            )
            assert not done.busy
            assert await told(database, cuts) == before
            verdict = await verify(database)
            assert verdict.is_sound, verdict.findings
            for table in (settlements, line_items):
                rows = await rows_of(database, table)
                if rows:
                    row = rows[flip % len(rows)]
                    async with database.write() as connection:
                        this = [key == row[key.name] for key in table.primary_key]
                        changed = (row["amount_nanousd"] or 0) + 1
                        await connection.execute(update(table).where(*this).values(amount_nanousd=changed))
                    assert [finding.table for finding in (await verify(database)).findings][-1:] == [table.name]
        finally:
            await database.dispose()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(law(Path(folder)))
