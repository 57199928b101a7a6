"""A ledger held against what an upstream says it was asked, call by call.

Knows the ledger's tables. An account tells, by attempt, the tokens that an answer was told to have used: None where the
upstream never came to its end.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import case, func, select

from gateway.budgets.tables import budget_holds, budget_windows
from gateway.database import Database
from gateway.ledger.tables import attempts, closings, entries, requests, settlements
from gateway.ledger.verify import verify

INPUT, OUTPUT = 1_000, 10_000  # nano-USD a token, as ``tests.gateway_server.PRICE`` has it


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What was found.   missing : calls that the upstream knows and the ledger does not.

    wrong : calls whose usage was told to the end and which stand at something else. uncertain : settled without it, at
    an estimate or a bound, for the answer's end was never heard.   held : by budgets, for attempts that have ended.
    """

    attempts: int
    states: Mapping[str, int]
    errors: Mapping[str, int]
    spooled: int
    missing: Sequence[str]
    wrong: Sequence[str]
    uncertain: int
    unsettled: int
    unclosed: int
    held: int
    spent_nanousd: int
    balance: Mapping[str, int]
    windows: Sequence[tuple[int, int]]  # (set aside, settled) of each budget
    is_sound: bool

    def check(self) -> None:
        """Whatever happened: every call is in it once, has ended, and costs what was told; nothing stays set aside."""
        assert not self.missing
        assert not self.wrong
        assert (self.unsettled, self.unclosed, self.held) == (0, 0, 0)
        assert self.balance == {"tenant": self.spent_nanousd, "reserved": 0, "provider": -self.spent_nanousd}
        assert all(reserved == 0 for reserved, _ in self.windows)
        assert self.is_sound

    def line(self) -> str:
        """For people."""
        errors = f", errors {dict(self.errors)}" if self.errors else ""
        return (
            f"ledger: {self.attempts} attempts {dict(self.states)}{errors}; {self.spooled} through the spool; "
            f"missing {len(self.missing)}, wrong {len(self.wrong)}, put down without having heard the usage "
            f"{self.uncertain}, unsettled {self.unsettled}, unclosed {self.unclosed}, held {self.held}; "
            f"{self.spent_nanousd / 1e9:.9f} USD, entries balance, chain whole: {self.is_sound}"
        )


async def books(database: Database, account: Mapping[str, tuple[int, int] | None]) -> Books:
    """Hold one against the other."""
    joined = select(attempts.c.attempt_id, attempts.c.spooled, settlements).outerjoin(
        settlements, settlements.c.attempt_id == attempts.c.attempt_id
    )
    async with database.read() as connection:
        rows: dict[str, Any] = {row["attempt_id"]: row for row in (await connection.execute(joined)).mappings()}
        asked = (await connection.execute(select(func.count()).select_from(requests))).scalar_one()
        closed = (await connection.execute(select(func.count()).select_from(closings))).scalar_one()
        held = (await connection.execute(select(func.count()).select_from(budget_holds))).scalar_one()
        counted = select(budget_windows.c.reserved_nanousd, budget_windows.c.settled_nanousd)
        windows = [(row[0], row[1]) for row in await connection.execute(counted)]
        balance = {}
        for name in ("tenant", "reserved", "provider"):
            amount = entries.c.amount_nanousd
            signed = case((entries.c.debit == name, amount), (entries.c.credit == name, -amount), else_=0)
            balance[name] = int((await connection.execute(select(func.coalesce(func.sum(signed), 0)))).scalar_one())
    told = {attempt: usage for attempt, usage in account.items() if usage is not None and attempt in rows}
    heard = [attempt for attempt in told if rows[attempt]["usage_source"] == "provider"]
    return Books(
        attempts=len(rows),
        states=Counter(str(row["state"]) for row in rows.values()),
        errors=Counter(str(row["error_kind"]) for row in rows.values() if row["error_kind"]),
        spooled=sum(bool(row["spooled"]) for row in rows.values()),
        missing=sorted(account.keys() - rows.keys()),
        wrong=[attempt for attempt in heard if not _agrees(rows[attempt], *told[attempt])],
        uncertain=sum(row["usage_source"] == "estimated" for row in rows.values()),
        unsettled=sum(row["settled_us"] is None for row in rows.values()),
        unclosed=asked - closed,
        held=held,
        spent_nanousd=sum(row["amount_nanousd"] or 0 for row in rows.values()),
        balance=balance,
        windows=windows,
        is_sound=(await verify(database)).is_sound,
    )


async def settled(database: Database, within_s: float = 60.0) -> None:
    """Return once every attempt has ended and every request is closed, or in vain after a while."""
    open_attempts = select(attempts.c.attempt_id).outerjoin(
        settlements, settlements.c.attempt_id == attempts.c.attempt_id
    )
    open_requests = select(requests.c.decision_id).outerjoin(closings, closings.c.decision_id == requests.c.decision_id)
    try:
        async with asyncio.timeout(within_s):
            while True:
                async with database.read() as connection:
                    left = (
                        *(await connection.execute(open_attempts.where(settlements.c.attempt_id.is_(None)))),
                        *(await connection.execute(open_requests.where(closings.c.decision_id.is_(None)))),
                    )
                if not left:
                    return
                await asyncio.sleep(0.1)
    except TimeoutError:
        return


def _agrees(row: Any, prompt: int, completion: int) -> bool:
    counts = (row["prompt_tokens"], row["completion_tokens"])
    return counts == (prompt, completion) and row["amount_nanousd"] == prompt * INPUT + completion * OUTPUT
