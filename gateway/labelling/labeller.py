"""Asks a judge about the answers of a log; each question is an attempt of kind ``judge`` in the ledger.

Knows the ledger, the journal and how much may be spent. Knows no file format and no word of the question.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from gateway.errors import RequestError
from gateway.labelling.journal import Call, Journal
from gateway.ledger.entry import RequestRecord, RequestStatus, usd
from gateway.ledger.request_log import RequestLog
from gateway.ledger.tariff import Tariff
from gateway.ledger.writer import LedgerWriter
from router.backends.pool import Pool
from router.consulting import Consulting
from router.errors import BackendError
from router.grading import Comparison, both_orders, grades_of
from router.ids import new_id
from scorer.logline import LoggedQuery

OWN_TENANT = "spillway"
_TRIES = 5
_LONGEST_WAIT_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """again : whether to ask once more what may have been paid for and never came."""

    most_nanousd: int | None = None
    at_once: int = 8
    timeout_s: float = 120.0
    again: bool = False


@dataclass(slots=True)
class Tally:
    """Of this run, in calls. answered : with grades or without (unsure).   unpaid, lost : failed, as the journal says.
    before : answered already, in earlier runs or in this one.   lost_before : in earlier runs, and not asked again.
    nanousd : None once a call's price is unknown.   stopped : why no further question was asked, if so."""

    answered: int = 0
    unsure: int = 0
    unpaid: int = 0
    lost: int = 0
    before: int = 0
    lost_before: int = 0
    nanousd: int | None = 0
    stopped: str = ""
    errors: list[str] = field(default_factory=list)

    def count(self, call: Call, *, final: bool) -> None:
        """Take a call in. final : whether it is not made again."""
        self.answered += call.state == "answered"
        self.unsure += call.state == "answered" and call.grades is None
        self.lost += call.state == "lost"
        self.unpaid += call.state == "unpaid" and final
        self.nanousd = None if call.nanousd is None or self.nanousd is None else self.nanousd + call.nanousd


class Labeller:
    """One judge and what it may cost."""

    def __init__(
        self,
        pool: Pool,
        ledger: LedgerWriter,
        tariff: Tariff,
        journal: Journal,
        rules: Rules,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._pool, self._ledger, self._tariff, self._journal, self._rules = pool, ledger, tariff, journal, rules
        self._sleep = sleep
        self._places = asyncio.Semaphore(rules.at_once)
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._reserved = 0
        self.tally = Tally()

    async def grade(self, query: LoggedQuery, pair: tuple[str, str]) -> dict[str, tuple[float, float]]:
        """Of both answers of a pair, the grade shown first and the grade shown last; nothing where one is missing."""
        one, other = pair
        as_given, turned = both_orders(pair, query)
        found = await self._grades(as_given)
        found_turned = None if found is None else await self._grades(turned)  # one without the other is no label
        if found is None or found_turned is None:
            return {}
        (one_first, other_last), (other_first, one_last) = found, found_turned
        return {one: (one_first, one_last), other: (other_first, other_last)}

    async def all(self, work: Sequence[tuple[LoggedQuery, tuple[str, str]]]) -> list[dict[str, tuple[float, float]]]:
        """Every pair's grades, in order."""

        async def placed(query: LoggedQuery, pair: tuple[str, str]) -> dict[str, tuple[float, float]]:
            async with self._places:
                return await self.grade(query, pair)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(placed(query, pair)) for query, pair in work]
        return [task.result() for task in tasks]

    async def _grades(self, comparison: Comparison) -> tuple[float, float] | None:
        key = comparison.key(self._pool.model)
        async with self._locks[key]:  # logs repeat themselves
            return await self._once(key, comparison)

    async def _once(self, key: str, comparison: Comparison) -> tuple[float, float] | None:
        known = self._journal.calls.get(key)
        if known is not None and (known.state == "answered" or (known.state == "lost" and not self._rules.again)):
            self.tally.before += known.state == "answered"
            self.tally.lost_before += known.state == "lost"
            return known.grades
        for tried in range(_TRIES):
            if self.tally.stopped:
                return None
            call, wait_s = await self._call(key, comparison, tried)
            if wait_s is None:
                return call.grades
            await self._sleep(wait_s)
        return None

    async def _call(self, key: str, comparison: Comparison, tried: int) -> tuple[Call, float | None]:
        """One call, written down before and after; and after how long it may be made again, None: not at all."""
        judge = self._pool.model
        record = RequestRecord(
            decision_id=new_id("dec"),
            created=datetime.now(UTC),
            tenant_id=OWN_TENANT,
            key_id=None,
            policy=None,
            requested_model=judge,
            endpoint="label",
            streamed=False,
        )
        log = self._ledger.log_for(record, comparison.body(), tariff=self._tariff)
        bound = log.bound_nanousd(judge)
        if not self._affordable(bound):
            return Call(state="unpaid"), None
        self._reserved += bound or 0
        self._journal.note(key, Call(state="begun"))
        try:
            return await self._asked(key, log, record, comparison.body(), tried)
        finally:
            self._reserved -= bound or 0

    async def _asked(
        self, key: str, log: RequestLog, record: RequestRecord, body: dict[str, Any], tried: int
    ) -> tuple[Call, float | None]:
        asking = Consulting({self._pool.model: self._pool}, log, place=0, request_id=record.decision_id)
        status: RequestStatus = "failed"
        call, wait_s = Call(state="lost"), None
        try:
            await self._ledger.open_request(record)
            reply = await asking.ask(self._pool.model, body, self._rules.timeout_s)
            status, call = "answered", Call(state="answered", grades=grades_of(reply.answer.text))
        except RequestError as refusal:  # by the ledger or a budget, before anything was called
            call = Call(state="unpaid")
            self.tally.stopped = self.tally.stopped or str(refusal)
        except BackendError as error:
            self.tally.errors.append(str(error))
            if not error.may_be_billed:
                call = Call(state="unpaid")
                again = tried < _TRIES - 1 and (error.retryable or error.retry_after_s is not None)
                wait_s = min(error.retry_after_s or 2.0**tried, _LONGEST_WAIT_S) if again else None
        finally:
            call = replace(call, nanousd=log.spent.nanousd)
            self._journal.note(key, call)
            self.tally.count(call, final=wait_s is None)
            self._ledger.close_request(log.closing(status=status, cache_status="DISABLED"))
        return call, wait_s

    def _affordable(self, bound: int | None) -> bool:
        most = self._rules.most_nanousd
        if most is None:
            return True
        spent = self.tally.nanousd
        if bound is None or spent is None:
            self.tally.stopped = "nothing bounds what a call of the judge can cost, so --most-usd cannot be kept"
        elif spent + self._reserved + bound > most:
            self.tally.stopped = f"the next call could bring the cost above {usd(most)} USD"
        return not self.tally.stopped
