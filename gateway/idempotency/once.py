"""Answers a request once: whoever repeats it under the same Idempotency-Key gets the answer that was paid for.

Knows claims, waiting and endings. How an answer comes about is the caller's to say, how it is spoken the dialects'.

The work does not end when its client goes: the client will ask again, and what was begun is paid for. So it runs by
itself here, and the client listens to it for as long as it is there.
"""

import asyncio
import hashlib
import hmac
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field

import orjson

from gateway.background import in_background
from gateway.database import DatabaseError, DatabaseUnavailable
from gateway.errors import IdempotencyConflict, KeyReused, RequestError, Unavailable
from gateway.exchange import Completion, Decision, OnceKey
from gateway.idempotency.kept import decode, encode
from gateway.idempotency.store import Claim, OnceStore, State
from gateway.keys import Caller
from router.backends.backend import Chunk
from router.ids import new_id

Item = Decision | Chunk | Completion
Work = Callable[[], AsyncGenerator[Item]]

_log = logging.getLogger("spillway.idempotency")
_PURGE_EVERY_S = 600.0
_LOOK_EVERY_S = (0.05, 0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class OnceRules:
    """ttl_s : for how long an answer is kept.   most_bytes : a larger one is not.

    lease_s : what runs for longer than any request may has lost its process.
    patience_s : how long a repetition waits for the first to end, before it is told to come back.
    linger_s : how long a stop waits for work whose clients have gone.
    """

    ttl_s: float
    most_bytes: int
    lease_s: float
    patience_s: float = 30.0
    linger_s: float = 10.0


class Once:
    """secret : so that what is stored of keys and bodies can be guessed by nobody who reads the table.

    rules : may be changed, for those that come from then on.
    """

    def __init__(self, store: OnceStore, secret: bytes, rules: OnceRules) -> None:
        self._store, self._secret, self.rules = store, secret, rules
        self._running: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """While claims are taken; at the end, work under way is given a little time."""
        try:
            async with in_background(self._purge(), "idempotency"):
                yield
        finally:
            if self._running:
                await asyncio.wait(self._running, timeout=self.rules.linger_s)
            for task in tuple(self._running):
                task.cancel()
            if self._running:
                await asyncio.wait(self._running)

    async def answer(self, key: OnceKey, caller: Caller, work: Work) -> AsyncGenerator[Item]:
        """What ``work`` yields, or the Completion that it yielded the first time.

        Raises KeyReused for another body under the same key, IdempotencyConflict where no answer can be given and none
        may be bought, DatabaseUnavailable where nothing can be known, and what the work raises.
        """
        place = _Place(
            key_hash=self._hashed([caller.tenant_id, caller.key_id, key.key]), body_hash=self._hashed([key.fingerprint])
        )
        for _ in range(2):  # the first claim may be taken back while this one waits for it
            doing = self._begin(work, place)
            try:
                claim = await asyncio.shield(doing.claim)
                if claim.mine:
                    async for item in doing.items():
                        yield item
                    return
            finally:
                doing.heard = doing.over
            found = await self._ended(claim, place)
            if found is not None:
                yield found
                return
        raise _in_use()

    def _begin(self, work: Work, place: "_Place") -> "_Doing":
        doing = _Doing(asyncio.get_running_loop().create_future())
        task = asyncio.create_task(self._do(doing, work, place), name="once")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return doing

    async def _ended(self, claim: Claim, place: "_Place") -> Completion | None:
        """The answer to another's claim, once it is there; None where that claim was taken back."""
        loop = asyncio.get_running_loop()
        until, wait_s = loop.time() + self.rules.patience_s, _LOOK_EVERY_S[0]
        found: Claim | None = claim
        while found is not None and found.body_hash == place.body_hash and found.state == "running":
            if loop.time() >= until:
                raise _in_use()
            await asyncio.sleep(wait_s)
            wait_s = min(_LOOK_EVERY_S[1], wait_s * 1.5)
            found = await self._store.look(place.key_hash)
        if found is None:
            return None
        if found.body_hash != place.body_hash:
            raise KeyReused("This Idempotency-Key came with another request before; a new request needs a new key.")
        completion = None if found.answer is None else decode(found.answer)
        if completion is not None:
            return completion
        if found.state == "unknown":
            said = "The first request under this Idempotency-Key was cut off in the gateway; it may have been paid for."
            raise IdempotencyConflict(f"{said} To ask again, use a new key.", code="idempotency_outcome_unknown")
        said = "The first request under this Idempotency-Key was answered, and the answer could not be kept."
        raise IdempotencyConflict(f"{said} To ask again, use a new key.", code="idempotency_answer_not_kept")

    async def _do(self, doing: "_Doing", work: Work, place: "_Place") -> None:
        """Claim, do the work to its end, whoever listens, and write down how it ended before the client hears it."""
        rules = self.rules
        try:
            claim = await self._store.claim(
                place.key_hash, place.body_hash, place.claim_id, lease_s=rules.lease_s, ttl_s=rules.ttl_s
            )
        except BaseException as error:
            doing.claim.set_exception(error if isinstance(error, Exception) else _stopping())
            if isinstance(error, Exception):
                return
            raise
        doing.claim.set_result(claim)
        if claim.mine:
            await self._work(doing, work, place)

    async def _work(self, doing: "_Doing", work: Work, place: "_Place") -> None:
        answered = False
        try:
            async with aclosing(work()) as items:
                async for item in items:
                    if isinstance(item, Completion):
                        answered = True
                        await self._keep(item, place)
                    doing.put(item)
        except Exception as error:  # noqa: BLE001 - it is the listener's to hear, whatever it is
            if not answered:
                await self._failed(doing, error, place)
            doing.fail(error)
        except BaseException:  # the process stops
            doing.fail(_stopping())
            if not answered:
                await asyncio.shield(self._end(place, "unknown"))
            raise
        else:
            if not answered:
                await self._end(place, "unknown")
            doing.end()

    async def _failed(self, doing: "_Doing", error: Exception, place: "_Place") -> None:
        """A failure may be tried again, unless it was paid for and nobody was told: who repeats that does not know."""
        paid = not isinstance(error, RequestError) or error.headers.get("x-should-retry") == "false"
        if paid and doing.heard is False:
            await self._end(place, "unknown")
            return
        try:
            await self._store.release(place.key_hash, place.claim_id)
        except (DatabaseError, DatabaseUnavailable) as trouble:
            _log.warning("a failed request's Idempotency-Key could not be set free: %s", trouble)

    async def _keep(self, completion: Completion, place: "_Place") -> None:
        answer = encode(completion)
        if answer is not None and len(answer) > self.rules.most_bytes:
            answer = None
        await self._end(place, "unkept" if answer is None else "kept", answer)

    async def _end(self, place: "_Place", state: State, answer: bytes | None = None) -> None:
        """Without the database the claim stays as it is: when its lease is over, it counts as unknown."""
        try:
            await self._store.end(place.key_hash, place.claim_id, state, answer, ttl_s=self.rules.ttl_s)
        except (DatabaseError, DatabaseUnavailable) as error:
            _log.warning("it could not be written down how a request with an Idempotency-Key ended: %s", error)

    async def _purge(self) -> None:
        while True:
            await asyncio.sleep(_PURGE_EVERY_S)
            try:
                while await self._store.purge():
                    pass
            except (DatabaseError, DatabaseUnavailable) as error:
                _log.warning("answers that have expired could not be taken away: %s", error)

    def _hashed(self, parts: list[str]) -> str:
        return hmac.new(self._secret, orjson.dumps(parts), hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    key_hash: str
    body_hash: str
    claim_id: str = field(default_factory=lambda: new_id("once"))


class _Doing:
    """Work under way, and what it has brought that nobody has heard yet.

    claim : to be waited for first.   heard : None while somebody listens, then whether it was heard to its end.
    """

    def __init__(self, claim: asyncio.Future[Claim]) -> None:
        self.claim = claim
        claim.add_done_callback(lambda done: done.cancelled() or done.exception())  # there may be nobody to look
        self._items: asyncio.Queue[Item | BaseException | None] = asyncio.Queue()
        self.heard: bool | None = None
        self.over = False

    def put(self, item: Item) -> None:
        if self.heard is None:
            self._items.put_nowait(item)

    def fail(self, error: BaseException) -> None:
        self._items.put_nowait(error)

    def end(self) -> None:
        self._items.put_nowait(None)

    async def items(self) -> AsyncGenerator[Item]:
        while True:
            item = await self._items.get()
            self.over = item is None or isinstance(item, BaseException)
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item


def _in_use() -> IdempotencyConflict:
    said = "A request under this Idempotency-Key is under way."
    return IdempotencyConflict(said, code="idempotency_key_in_use", headers={"retry-after": "1"})


def _stopping() -> Unavailable:
    return Unavailable("The gateway stopped before there was an answer.", headers={"x-should-retry": "false"})
