"""A ledger under load that is killed at a named point or at any moment, again and again; then everything is added up.

``python -m tests.crashing`` is the parent that forks the load; it opens no database itself, so that each fork begins
clean. The upstream's own account is a file: a line when a call reaches it. Knows how to die and how to count.
"""

import argparse
import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from sqlalchemy import BigInteger, Column, MetaData, String, Table, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.database import Database, DatabaseUnavailable
from gateway.ledger import faults
from gateway.ledger.billing import Reservation
from gateway.ledger.entry import LedgerUnavailable
from gateway.ledger.limits import WriterLimits
from gateway.ledger.refuge import SpoolPlace
from gateway.ledger.reservations import Movement
from gateway.ledger.writer import LedgerWriter
from router.outcome import AttemptState
from scorer.answer import Usage
from tests.ledgers import BODY, PRICES, a_record, an_attempt, an_opening

# reached by a start after a crash, and once
ONCE = ("orphans-found", "orphans-settled", "lost-requests-closed", "spool-drained", "spool-removed")
LIMITS = WriterLimits(linger_s=0.01, heartbeat_s=0.2, patience_s=5.0, drain_s=5.0, answer_s=0.5)
counters = Table(
    "test_counters",
    MetaData(),
    Column("name", String(64), primary_key=True),
    Column("reserved", BigInteger, nullable=False),
    Column("spent", BigInteger, nullable=False),
)


class Counter:
    """One budget without a limit: what it says must agree with the ledger after any crash."""

    async def post(
        self, connection: AsyncConnection, openings: Sequence[Reservation], movements: Sequence[Movement]
    ) -> Mapping[str, Exception]:
        """Count."""
        reserved = sum(item.reserved_nanousd or 0 for item in openings) - sum(
            item.released_nanousd for item in movements
        )
        spent = sum(item.charged_nanousd or 0 for item in movements)
        values = {"reserved": counters.c.reserved + reserved, "spent": counters.c.spent + spent}
        await connection.execute(update(counters).where(counters.c.name == "all").values(values))
        return {}

    def may_spool(self, _reservation: Reservation) -> bool:
        """Always."""
        return True


async def prepare(url: str) -> None:
    """The schema, and the counter."""
    database = Database(url)
    await database.migrate()
    async with database.write() as connection:
        await connection.run_sync(counters.metadata.create_all)
        await connection.execute(insert(counters), {"name": "all", "reserved": 0, "spent": 0})
    await database.dispose()


async def counted(database: Database) -> tuple[int, int]:
    """Reserved and spent, as the counter has it."""
    async with database.read() as connection:
        row = (await connection.execute(select(counters.c.reserved, counters.c.spent))).one()
    return row.reserved, row.spent


class Upstream:
    """Where calls are made: it writes each down before it answers."""

    def __init__(self, account: Path) -> None:
        self._account = os.open(account, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def called(self, attempt_id: str) -> None:
        """A call has arrived."""
        os.write(self._account, f"{attempt_id}\n".encode())


async def load(url: str, account: Path, spool: Path | None, clients: int, seed: int) -> None:
    """Requests without end, some of which are given up in the middle."""
    database, upstream = Database(url), Upstream(account)
    place = None if spool is None else SpoolPlace(folder=spool)
    ledger = LedgerWriter(database, PRICES, reservations=Counter(), limits=LIMITS, spool=place)
    while True:
        try:
            await ledger.start()
        except DatabaseUnavailable:
            await asyncio.sleep(0.05)
        else:
            break
    await asyncio.gather(*(_client(ledger, upstream, random.Random(seed * 1000 + n)) for n in range(clients)))


async def _client(ledger: LedgerWriter, upstream: Upstream, pick: random.Random) -> None:
    while True:
        record = a_record()
        try:
            await ledger.open_request(record)
            log = ledger.log_for(record, BODY)
            for model in ("small", "large")[: pick.randint(1, 2)]:
                usage = Usage(prompt_tokens=pick.randint(1, 200), completion_tokens=pick.randint(1, 100))
                state: AttemptState = (
                    "cancelled" if pick.random() < 0.1 else "rejected" if model == "small" else "accepted"
                )
                attempt = an_attempt(model=model, usage=None if state == "cancelled" else usage, state=state)
                await log.open(an_opening(attempt))
                upstream.called(attempt.id)
                await asyncio.sleep(pick.random() * 0.01)
                log.close(attempt)
        except LedgerUnavailable:
            await asyncio.sleep(0.01)
            continue
        ledger.close_request(log.closing(status="answered", cache_status="MISS"))
        await asyncio.sleep(pick.random() * 0.005)


def die_at(point: str, nth: int) -> None:
    """End this process without a word when the point is reached for the nth time."""
    seen = 0

    def hook(reached: str) -> None:
        nonlocal seen
        seen += reached == point
        if seen == nth and reached == point:
            os.kill(os.getpid(), signal.SIGKILL)

    faults.hooks.append(hook)


def main(arguments: Sequence[str]) -> None:
    """Fork and kill: ``points`` (each given one), or so many times at a random moment."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("account", type=Path)
    parser.add_argument("--spool", type=Path)
    parser.add_argument("--points", default="")
    parser.add_argument("--moments", type=int, default=0)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    pick = random.Random(given.seed)
    plan: list[tuple[str, int]] = [
        (point, 1 if point in ONCE else pick.randint(1, 3)) for point in given.points.split(",") if point
    ]
    died = []
    for n, (point, nth) in enumerate([*plan, *[("", 0)] * given.moments]):
        child = os.fork()
        if child == 0:
            if point:
                die_at(point, nth)
            asyncio.run(load(given.url, given.account, given.spool, given.clients, given.seed * 10_000 + n))
            os._exit(3)
        died.append(_end(child, point, pick, given.account if n % 4 else None))
    for point in died:
        sys.stdout.write(f"{point}\n")


def _end(child: int, point: str, pick: random.Random, account: Path | None) -> str:
    """Wait for a child to die, or kill it. account : a random moment is one under load, so calls are waited for."""
    if not point and account is not None:
        _wait_for_calls(account)
    deadline = time.monotonic() + (20.0 if point else pick.uniform(0.02, 0.4))
    while time.monotonic() < deadline:
        if os.waitpid(child, os.WNOHANG) != (0, 0):
            return point
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return f"{point} was not reached" if point else "moment"


def _wait_for_calls(account: Path) -> None:
    """Until a child's first call has reached the upstream; starting and sweeping take a while before."""
    before = account.stat().st_size if account.exists() else 0
    deadline = time.monotonic() + 20.0
    while time.monotonic() < deadline and (account.stat().st_size if account.exists() else 0) == before:
        time.sleep(0.002)


if __name__ == "__main__":
    main(sys.argv[1:])
