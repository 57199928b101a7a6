"""Asking one model for one stage, until it answers or must not be asked again.

Every single call is an attempt of its own, opened in the log before it is made and closed after: the first, each retry,
and both of a hedged pair. Knows turns, tries and races. Knows no score, no threshold and no other stage.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from router.backends.backend import Call, Chunk, Reply
from router.backends.pool import Pool, Turn
from router.draining import Drainage
from router.errors import BackendBroken, BackendError, BackendTimeout
from router.ids import new_id
from router.outcome import Attempt, Cause
from router.releasing import Watch
from router.streaming import said, says_something
from router.trial import AttemptLog, Opening, Trial

T = TypeVar("T")
_telemetry = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What a stage asks.

    live : yield the answer's chunks as they come, from the first word on.
    watch : listens to each call's answer, and lets its chunks go, those held and those to come, once it is content.
    ends : by ``time.monotonic()``, None: no limit but the backends' own.
    judge : sets the state (and score) of a trial that has its whole reply.
    closed : hears of every attempt's end, once.
    """

    place: int
    threshold: float | None
    call: Call
    live: bool
    ends: float | None
    log: AttemptLog
    judge: Callable[[Trial], Awaitable[None]]
    closed: Callable[[Attempt], None]
    cause: Cause = "first"
    watch: Callable[[], Watch] | None = None
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    own_body: bool = False  # the call's body is not the request's
    drainage: Drainage | None = None  # where calls of this model go on if nobody waits for them any more

    def left_s(self) -> float | None:
        """The time that is left."""
        return None if self.ends is None else self.ends - time.monotonic()


@dataclass(slots=True)
class Asked:
    """What came of it besides the attempts.

    error : why there is no answer; it may be the log's own, or one of a call that was never made.
    refused : the log would not open an attempt, or the time is up: nothing else is to be called either.
    """

    error: Exception | None = None
    refused: bool = False


async def ask(pool: Pool, asking: Asking, asked: Asked) -> AsyncGenerator[Chunk]:
    """Call, and call again where that is no harm; the chunks that the client may see. Says in ``asked`` how it went.

    Once a chunk went out there is no other try. Closing the generator hangs up on the upstream; what was under way is
    closed as cancelled.
    """
    pool.retries.called()
    avoid: set[str] = set()
    retried = 0
    cause = asking.cause
    while True:
        sent = False
        race = _Race(pool, asking, avoid)
        async with aclosing(race.run(cause, asked)) as chunks:
            async for chunk in chunks:
                sent = True
                yield chunk
        error = asked.error
        if sent or asked.refused or not race.called or not isinstance(error, BackendError):
            return
        avoid |= race.called
        wait_s = pool.retries.wait_s(error, retried, asking.left_s(), elsewhere=pool.has_other(avoid))
        if wait_s is None:
            return
        await asking.sleep(wait_s)
        cause, retried = "retry", retried + 1


class _Race:
    """One try: a call, and after a while a second one beside it where that is opted in to. The first answer wins."""

    def __init__(self, pool: Pool, asking: Asking, avoid: set[str]) -> None:
        self._pool, self._asking, self._avoid = pool, asking, avoid
        self._runners: list[_Runner] = []
        self.called: set[str] = set()

    async def run(self, cause: Cause, asked: Asked) -> AsyncGenerator[Chunk]:
        try:
            winner = await self._won(cause)
            for loser in self._runners:
                if loser is not winner:
                    await loser.end()
            asked.error = winner.error
            asked.refused = winner.refused
            if winner.error is None:
                async with aclosing(winner.rest()) as chunks:
                    async for chunk in chunks:
                        yield chunk
                asked.error = winner.error
        except _NotCalled as error:
            asked.error, asked.refused = asked.error or error.reason, error.for_good
        finally:
            for runner in self._runners:
                await runner.end()

    async def _won(self, cause: Cause) -> "_Runner":
        """The call that answered first, or else the one that failed last."""
        first = await self._runner(cause)
        hedge_after_s = self._pool.rules.hedge_after_s
        if hedge_after_s is None:
            await first.begin()
            return first
        beginning = {asyncio.create_task(first.begin()): first}
        first.task = next(iter(beginning))
        await asyncio.wait(beginning, timeout=hedge_after_s)
        if not first.task.done() and (second := self._second()) is not None:
            second.task = asyncio.create_task(second.begin())
            beginning[second.task] = second
        last = first
        while beginning:
            done, _ = await asyncio.wait(beginning, return_when=asyncio.FIRST_COMPLETED)
            for task in sorted(done, key=lambda task: beginning[task] is not first):
                last = beginning.pop(task)
                task.result()
                if last.error is None:
                    return last
        return last

    async def _runner(self, cause: Cause) -> "_Runner":
        left_s = self._asking.left_s()
        if left_s is not None and left_s <= 0:
            said = "the request's time was up before this call"
            raise _NotCalled(BackendTimeout(self._pool.model, said), for_good=True)
        try:
            turn = await self._pool.turn(timeout_s=left_s, avoid=self._avoid, affinity=self._asking.call.affinity)
        except BackendError as error:
            raise _NotCalled(error, for_good=False) from error
        return self._starting(turn, cause)

    def _second(self) -> "_Runner | None":
        turn = self._pool.turn_now(avoid=self.called)
        return None if turn is None else self._starting(turn, "hedge")

    def _starting(self, turn: Turn, cause: Cause) -> "_Runner":
        runner = _Runner(self._asking, turn, cause)
        self._runners.append(runner)
        self.called.add(turn.deployment.name)
        return runner


class _NotCalled(Exception):
    def __init__(self, reason: Exception, *, for_good: bool) -> None:
        super().__init__(str(reason))
        self.reason, self.for_good = reason, for_good


class _Runner:
    """One call from its opening to its closing, which happens exactly once, whatever else does."""

    def __init__(self, asking: Asking, turn: Turn, cause: Cause) -> None:
        self._asking, self._turn = asking, turn
        self._trial = Trial(
            opening=Opening(
                attempt_id=new_id("att"),
                stage=asking.place,
                model=turn.pool.model,
                deployment=turn.deployment.name if len(turn.pool.deployments) > 1 else None,
                cause=cause,
                body=asking.call.body if asking.own_body else None,
            ),
            threshold=asking.threshold,
        )
        self._timeout_s: float | None = None
        self._stream: AsyncGenerator[Chunk] | None = None
        self._held: list[Chunk] = []
        self._opened = self._closed = self._left = False
        self._under_way: asyncio.Future[Any] | None = None  # what the backend is doing, where it may go on alone
        self.task: asyncio.Task[None] | None = None
        self.refused = False
        self.error: Exception | None = None

    async def begin(self) -> None:
        """Open and call; return with the whole answer, or its first words if it is live, or with ``error`` set."""
        await self._open()
        if self._opened:
            await self._call()

    async def rest(self) -> AsyncGenerator[Chunk]:
        """Judge a whole answer; or pass on the words held so far and those to come."""
        if self._stream is None or not (self._asking.live or self._trial.released):
            self._turn.end(alive=True)  # the deployment is free, however long the judgement takes
            await self._asking.judge(self._trial)
        else:
            while self._held:
                for ready in self._held:
                    yield ready
                self._held.clear()
                await self._named(self._hear(words=1))
        self._close()

    async def end(self) -> None:
        """Hang up, if it is still under way, or leave it to be read to its end; let go of what it held."""
        if self._left:
            return
        try:
            if self.task is not None and not self.task.done():
                self.task.cancel()
                await asyncio.wait({self.task})
            drainage = self._asking.drainage
            if self._is_unfinished and drainage is not None and drainage.has_room:
                self._left = True
                drainage.take(self._drain(drainage.most_s))
                return
            await self._hang_up()
        finally:
            if not self._left:
                self._close()

    @property
    def _is_unfinished(self) -> bool:
        """Whether the upstream was called, and neither answered in full nor failed."""
        trial = self._trial
        called = self._opened and not self._closed and (self._under_way is not None or self._stream is not None)
        return called and trial.reply is None and trial.error is None

    async def _hang_up(self) -> None:
        if self._under_way is not None and not self._under_way.done():
            self._under_way.cancel()
            await asyncio.wait({self._under_way})
        if self._stream is not None:
            await self._stream.aclose()

    async def _drain(self, most_s: float) -> None:
        """Learn what the call counts; it stays one that was cancelled. What is heard until then counts."""
        try:
            async with asyncio.timeout(most_s):
                if self._stream is None:
                    assert self._under_way is not None  # noqa: S101 (it is under way)
                    self._trial.replied(await self._under_way)
                else:
                    while (chunk := await self._next()) is not None:
                        self._take(chunk)
        except Exception as error:  # noqa: BLE001  nobody waits for an answer, so nobody is told that there is none
            _telemetry.info("a call of %s was not read to its end: %s", self._trial.opening.model, error)
        finally:
            try:
                await self._hang_up()
            finally:
                self._trial.state = "cancelled"
                self._close()

    async def _open(self) -> None:
        try:
            await self._asking.log.open(self._trial.opening)
            self._opened = True
        except Exception as refusal:  # noqa: BLE001  whatever a log refuses with is the caller's to tell
            self.refused, self.error, self._closed = True, refusal, True
            self._turn.end()

    async def _call(self) -> None:
        self._trial.dispatched()
        self._timeout_s = self._asking.left_s()
        attempt_id = self._trial.opening.attempt_id
        call = replace(self._asking.call, timeout_s=self._timeout_s, attempt_id=attempt_id)
        backend = self._turn.deployment.backend
        if self._asking.live:
            self._stream = backend.stream(call)
            await self._named(self._hear(words=1))
        elif self._asking.watch is not None:
            self._stream = backend.stream(call)
            await self._named(self._listen(self._asking.watch()))
        else:
            await self._named(self._whole(backend.complete(call)))
        if self.error is not None:
            self._close()

    async def _whole(self, replying: Awaitable[Reply]) -> None:
        self._trial.replied(await self._alone(replying))

    async def _alone(self, work: Awaitable[T]) -> T:
        """Wait for it; where calls may go on without anybody's waiting, it does not end with the wait."""
        if self._asking.drainage is None:
            return await work
        under_way = self._under_way = asyncio.ensure_future(work)
        return await asyncio.shield(under_way)

    async def _next(self) -> Chunk | None:
        """The next chunk, which may have been waited for before; None at the end."""
        assert self._stream is not None  # noqa: S101 (there is one once the call is made)
        before, self._under_way = self._under_way, None
        chunk: Chunk | None = await (self._alone(anext(self._stream, None)) if before is None else before)
        self._under_way = None
        return chunk

    async def _listen(self, watch: Watch) -> None:
        """Hold everything until the watch lets it go, or the answer is whole."""
        trial, heard = self._trial, 0
        while trial.reply is None:
            await self._hear(words=1)
            for chunk in self._held[heard:]:
                score = watch.hear(chunk.body or {})
                if score is not None:
                    trial.released, trial.score, trial.threshold = True, score, watch.threshold
                    return
            heard = len(self._held)

    async def _hear(self, words: int) -> None:
        """Take chunks in, up to one that says something: an upstream that dies after the mere role can be replaced."""
        trial = self._trial
        while (chunk := await self._next()) is not None:
            self._take(chunk)
            self._held.append(chunk)
            if chunk.reply is not None:
                trial.state = "accepted"
            elif trial.first_token_s is None and not says_something(chunk.body or {}):
                continue
            if trial.first_token_s is None:
                trial.first_token_s = time.monotonic() - trial.started
            words -= 1
            if not words:
                return
        if trial.reply is None:
            raise BackendBroken(trial.opening.model, "the stream ended without its reply")

    def _take(self, chunk: Chunk) -> None:
        trial = self._trial
        trial.usage = chunk.usage or trial.usage
        trial.heard.append(said(chunk.body or {}))
        if chunk.reply is not None:
            trial.replied(chunk.reply)

    async def _named(self, work: Awaitable[None]) -> None:
        """Do the work; what goes wrong in it is this call's error."""
        try:
            await work
        except BackendError as error:
            self._trial.failed(error)
            self.error = error
        except Exception as error:  # noqa: BLE001  one backend's bug is one failed call, not a lost request
            _telemetry.exception("backend %s broke its promise", self._trial.opening.model)
            self._trial.failed(BackendBroken(self._trial.opening.model, f"unexpected {type(error).__name__}"))
            self.error = self._trial.error

    def _close(self) -> None:
        if self._closed:
            return
        self._closed = True
        trial = self._trial
        alive = trial.reply is not None or trial.first_token_s is not None
        self._turn.end(trial.error, alive=alive, timeout_s=self._timeout_s)
        self._asking.closed(trial.closed())
