"""Gathering the proposals of a mixture: all asked at once, until all have answered or the deadline comes.

Every call is an attempt of its own, reserved before it is made, and closed once, even where nobody waits for it now.
Knows calls, a quorum and a time. Knows no score and writes no answer.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from router.backends.backend import Call
from router.backends.pool import Pool
from router.consulting import Consulting
from router.errors import BackendError, BackendTimeout, QuorumMissed
from router.mixture import Mixture, Proposer
from router.outcome import Attempt
from router.trial import AttemptLog, Opening
from scorer.answer import Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """An answer that may go into another one. name : of the sample that it is.   attempt : whose reply it is."""

    name: str
    attempt: Attempt

    @property
    def answer(self) -> Answer:
        """What was said, by the sample's name."""
        assert self.attempt.reply is not None  # noqa: S101 (it is one for having a reply)
        return replace(self.attempt.reply.answer, model=self.name)


@dataclass(slots=True, kw_only=True)
class Proposing:
    """One gathering. place : the tier's, as in ``Opening.stage``.   ends : by ``time.monotonic()``.

    attempts : all that were made, in the order of their ends.
    """

    mixture: Mixture
    pools: Mapping[str, Pool]
    log: AttemptLog
    place: int
    ends: float | None
    attempts: list[Attempt] = field(default_factory=list)

    async def gather(
        self, call: Call, doubt: float, paid: Sequence[Attempt] = ()
    ) -> tuple[Sequence[Proposal], Exception | None]:
        """The proposals in the order of their proposers, and why there are too few of them, if so.

        paid : answers of this request that were paid for before: a proposer's first sample need not be asked again.
        What the log refuses with is the reason only where the quorum was missed for it. If the caller cancels, all that
        is under way is hung up on and closed.
        """
        mixture, asked = self.mixture, self.mixture.asked(doubt)
        if self.ends is not None and self.ends <= time.monotonic():
            return [], BackendTimeout(mixture.name, "the request's time was up before its proposals")
        before = {attempt.model: attempt for attempt in reversed(paid) if says(attempt)}
        at_hand = {who.name: before[who.model] for who in asked if who.name in before}
        ends = time.monotonic() + mixture.deadline_s
        ends = ends if self.ends is None else min(ends, self.ends)
        call = replace(call, body=mixture.proposal(call.body))
        tasks = {asyncio.create_task(self._ask(who, call, ends)): who.name for who in asked if who.name not in at_hand}
        try:
            if tasks:
                await asyncio.wait(tasks, timeout=max(0.0, ends - time.monotonic()))
        finally:
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)
        reason: Exception | None = None
        for task, name in tasks.items():
            error = None if task.cancelled() else task.exception()
            if error is not None and not isinstance(error, Exception):
                raise error
            reason = error or reason
            if error is None and not task.cancelled() and says(task.result()):
                at_hand[name] = task.result()
        found = [Proposal(name=who.name, attempt=at_hand[who.name]) for who in asked if who.name in at_hand]
        if len(found) >= mixture.quorum:
            return found, None
        said = f"{len(found)} of {len(asked)} proposals came in time, and the mixture needs {mixture.quorum}"
        refused = reason is not None and not isinstance(reason, BackendError)
        return found, reason if refused else QuorumMissed(mixture.name, said)

    async def _ask(self, who: Proposer, call: Call, ends: float) -> Attempt:
        noted = _Noted(self.log)
        asking = Consulting(
            self.pools,
            noted,
            place=self.place,
            request_id=call.request_id,
            kind="proposal",
            cache_salt=call.cache_salt,
            affinity=call.affinity,
            tier_of=self.mixture.name,
        )
        try:
            await asking.ask(who.model, call.body, max(0.001, ends - time.monotonic()))
        finally:
            self.attempts.extend(noted.closed)
        return noted.closed[-1]


def says(attempt: Attempt) -> bool:
    """Whether it has an answer in words, which is what another model can make something of."""
    return attempt.reply is not None and bool(attempt.reply.answer.text.strip()) and not attempt.failed_verification


class _Noted:
    """An AttemptLog that remembers what was closed."""

    def __init__(self, log: AttemptLog) -> None:
        self._log, self.closed = log, list[Attempt]()

    async def open(self, opening: Opening) -> None:
        await self._log.open(opening)

    def close(self, attempt: Attempt) -> None:
        self.closed.append(attempt)
        self._log.close(attempt)
