"""The deployments of one model: which of them takes the next call, how many calls at once, and who is left out for now.

The least busy one takes the next call. One whose breaker is open, or that asked to be left alone for a while, takes
none. Where all that could are full, a call waits its turn in a bounded queue; where that is full, it is turned away.
Where an engine tells its load, its own queue counts too: others may be sending to it.
Knows counts, turns and endings. Makes no call itself.
"""

import asyncio
import hashlib
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from router.backends.backend import Backend
from router.backends.breaker import Breaker, BreakerRules
from router.backends.load import Load, multiplier
from router.backends.retries import Retries, RetryRules
from router.errors import (
    BackendBusy,
    BackendError,
    BackendRefused,
    BackendSaturated,
    BackendTimeout,
    BackendUnavailable,
    NotRecorded,
)

_IN_A_HURRY_S = 10.0  # a call given less than this may time out without that speaking against the deployment
_LONGEST_REST_S = 60.0
_LOAD_LASTS_S = 10.0
_SPEAKS_OF_THE_REQUEST = (BackendRefused, NotRecorded)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRules:
    """How a model's calls are made.

    most_at_once : calls under way in each deployment; None: no limit.
    queue, patience_s : how many calls may wait for their turn, and each for how long.
    most_waiting, most_kv_use : a deployment whose engine has more requests waiting, or as much of its memory for keys
        and values in use, takes no call until it has less.
    places : requests that an engine works at together. Where it is known, a deployment takes no call that would make
        more than ``most_waiting`` wait there, by the last look and by what was sent and ended since.
    most_congestion : by how much a full deployment's price is multiplied where plans weigh it; 1: not at all.
    hedge_after_s : an answer that has not begun by then is asked for a second time, and both calls may be billed.
    """

    most_at_once: int | None = None
    queue: int = 100
    patience_s: float = 10.0
    hedge_after_s: float | None = None
    most_waiting: int = 0
    most_kv_use: float = 0.95
    places: int | None = None
    most_congestion: float = 1.0
    retries: RetryRules = field(default_factory=RetryRules)
    breaker: BreakerRules = field(default_factory=BreakerRules)


@dataclass(slots=True, kw_only=True, eq=False)
class Deployment:
    """One place where a model runs. timeout_s : what a call there is given at most.

    load : by its engine's own account, None where it gives none.   running_then : calls that were under way then.
    """

    name: str
    backend: Backend
    breaker: Breaker
    timeout_s: float | None = None
    running: int = 0
    last_taken: int = 0
    rests_until: float = 0.0
    load: Load | None = None
    running_then: int = 0

    @property
    def busy(self) -> int:
        """How many requests it has to do with."""
        load = self.fresh_load
        if load is None:
            return self.running
        others = max(0, load.running + load.waiting - self.running_then)
        return self.running + others

    @property
    def fresh_load(self) -> Load | None:
        """Its load, unless that was looked at too long ago to say anything of now."""
        load = self.load
        return load if load is not None and time.monotonic() - load.at < _LOAD_LASTS_S else None

    @property
    def rests_s(self) -> float:
        """How long it is to be left alone yet."""
        return max(self.breaker.wait_s, self.rests_until - time.monotonic(), 0.0)

    @property
    def admits(self) -> bool:
        """Whether it may be called, were it not full."""
        return self.breaker.admits and time.monotonic() >= self.rests_until


@dataclass(slots=True, kw_only=True, eq=False)
class Turn:
    """The right to make one call. It ends exactly once, and says how the call ended."""

    pool: "Pool"
    deployment: Deployment
    ticket: int
    ended: bool = False

    def end(self, error: BackendError | None = None, *, alive: bool = False, timeout_s: float | None = None) -> None:
        """error : the call's failure.   alive : it answered, or began to.   timeout_s : what the call was given.

        Neither error nor alive: it was given up before anything could be told about the deployment.
        """
        if self.ended:
            return
        self.ended = True
        breaker = self.deployment.breaker
        if error is None or isinstance(error, _SPEAKS_OF_THE_REQUEST):
            (breaker.succeeded if alive or error is not None else breaker.neither)(self.ticket)
        elif isinstance(error, BackendBusy) and error.retry_after_s is not None:
            self.deployment.rests_until = time.monotonic() + min(error.retry_after_s, _LONGEST_REST_S)
            breaker.neither(self.ticket)
        elif isinstance(error, BackendTimeout) and timeout_s is not None and timeout_s < self._usual_timeout_s:
            breaker.neither(self.ticket)
        else:
            breaker.failed(self.ticket)
        self.pool._left(self.deployment)  # noqa: SLF001  a turn is the pool's own

    @property
    def _usual_timeout_s(self) -> float:
        own = self.deployment.timeout_s
        return _IN_A_HURRY_S if own is None else min(own, _IN_A_HURRY_S)


@dataclass(slots=True, kw_only=True, eq=False)
class _Waiting:
    turn: asyncio.Future[Turn]
    avoid: frozenset[str] = field(default_factory=frozenset)
    prefer: str | None = None


class Pool:
    """The deployments of one model."""

    def __init__(self, model: str, deployments: Sequence[Deployment], rules: PoolRules | None = None) -> None:
        self.model, self.deployments, self.rules = model, tuple(deployments), rules or PoolRules()
        self.retries = Retries(self.rules.retries)
        self._queue: list[_Waiting] = []
        self._taken = 0
        self.skipped = 0  # times that a tier was passed by since its engines had requests waiting

    @classmethod
    def of(cls, *backends: Backend, rules: PoolRules | None = None) -> "Pool":
        """A pool of backends of one model, named by their number."""
        rules = rules or PoolRules()
        deployments = [
            Deployment(name=str(n), backend=backend, breaker=Breaker(rules.breaker))
            for n, backend in enumerate(backends, start=1)
        ]
        return cls(backends[0].model, deployments, rules)

    @property
    def waiting(self) -> int:
        """Calls in the queue."""
        return len(self._queue)

    @property
    def is_saturated(self) -> bool:
        """Whether every deployment that may be called has, by its engine's own account, more to do than it should."""
        able = [one for one in self.deployments if one.admits]
        return bool(able) and all(map(self._is_saturated, able))

    @property
    def congestion(self) -> float:
        """What a call's price is to be multiplied with where calls are weighed: 1 where one finds an idle deployment.

        It is the least of those that may be called, as that one is free to take the call. Never less for more load.
        """
        rules = self.rules
        able = [one for one in self.deployments if one.admits]
        return min((multiplier(self._use(one), rules.most_congestion) for one in able), default=1.0)

    def measured(self, deployment: Deployment, load: Load | None) -> None:
        """Take in how loaded a deployment's engine is; whoever waited for it to have less to do may have a turn now."""
        deployment.load, deployment.running_then = load, deployment.running
        self._serve_queue()

    def has_other(self, avoid: Collection[str]) -> bool:
        """Whether a deployment not named in ``avoid`` can take a call now."""
        return any(one.name not in avoid and one.admits and not self._is_full(one) for one in self.deployments)

    async def turn(self, *, timeout_s: float | None, avoid: Collection[str] = (), affinity: str | None = None) -> Turn:
        """The right to make a call, as soon as a deployment can take it.

        avoid : deployments to be taken only where there is no other.   affinity : calls of one affinity go to one
        deployment, as long as it can take them.
        Raises BackendUnavailable where none may be called, BackendSaturated where the queue is full or too slow.
        """
        turn = self.turn_now(avoid=avoid, affinity=affinity)
        if turn is not None:
            return turn
        if not any(one.admits for one in self.deployments):
            raise self._unavailable()
        if len(self._queue) >= self.rules.queue:
            raise BackendSaturated(self.model, f"{len(self._queue)} calls are waiting already", retry_after_s=1.0)
        waiting = _Waiting(
            turn=asyncio.get_running_loop().create_future(),
            avoid=frozenset(avoid),
            prefer=self._preferred(affinity),
        )
        self._queue.append(waiting)
        patience_s = self.rules.patience_s if timeout_s is None else min(self.rules.patience_s, timeout_s)
        try:
            async with asyncio.timeout(patience_s):
                return await waiting.turn
        except BaseException as error:
            if waiting.turn.done() and not waiting.turn.cancelled():  # it came at the very moment of giving up
                waiting.turn.result().end()
            if isinstance(error, TimeoutError):
                raise BackendSaturated(self.model, f"no turn within {patience_s:.1f} s", retry_after_s=1.0) from error
            raise
        finally:
            if waiting in self._queue:
                self._queue.remove(waiting)

    def turn_now(self, *, avoid: Collection[str] = (), affinity: str | None = None) -> Turn | None:
        """The right to make a call at once; None where it would have to wait, or nobody may be called."""
        return None if self._queue else self._pick(avoid, self._preferred(affinity))

    async def aclose(self) -> None:
        """Let go of connections."""
        for deployment in self.deployments:
            await deployment.backend.aclose()

    def _pick(self, avoid: Collection[str], prefer: str | None) -> Turn | None:
        able = [one for one in self.deployments if one.admits and not self._is_full(one)]
        if not able:
            return None
        chosen = min(able, key=lambda one: (one.name in avoid, one.name != prefer, one.busy, one.last_taken))
        self._taken += 1
        chosen.last_taken = self._taken
        chosen.running += 1
        return Turn(pool=self, deployment=chosen, ticket=chosen.breaker.enter())

    def _is_full(self, deployment: Deployment) -> bool:
        full = self.rules.most_at_once is not None and deployment.running >= self.rules.most_at_once
        return full or self._is_saturated(deployment)

    def _is_saturated(self, deployment: Deployment) -> bool:
        load = deployment.fresh_load
        if load is None:
            return False
        rules = self.rules
        queues = rules.places is not None and deployment.busy >= rules.places + rules.most_waiting
        return queues or load.waiting > rules.most_waiting or (load.kv_use or 0.0) >= rules.most_kv_use

    def _use(self, deployment: Deployment) -> float:
        """How much of what it can do at once a deployment is asked to do, 0 where its engine does not tell."""
        load, places = deployment.fresh_load, self.rules.places
        if load is None:
            return 0.0
        taken = 0.0 if places is None else deployment.busy / places
        return max(taken, load.kv_use or 0.0, 1.0 if load.waiting else 0.0)

    def _preferred(self, affinity: str | None) -> str | None:
        """By rendezvous: a deployment that comes or goes moves no call but its own."""
        if affinity is None or len(self.deployments) == 1:
            return None
        names = (one.name for one in self.deployments if one.admits)
        return max(names, key=lambda name: hashlib.sha256(f"{affinity}\n{name}".encode()).digest(), default=None)

    def _left(self, deployment: Deployment) -> None:
        deployment.running -= 1
        self._serve_queue()

    def _serve_queue(self) -> None:
        while self._queue:
            first = self._queue[0]
            turn = None if first.turn.done() else self._pick(first.avoid, first.prefer)
            if turn is None and not first.turn.done():
                return
            self._queue.pop(0)
            if turn is not None:
                first.turn.set_result(turn)

    def _unavailable(self) -> BackendUnavailable:
        wait_s = min(one.rests_s for one in self.deployments)
        return BackendUnavailable(self.model, f"is left alone for {wait_s:.1f} s after it failed", retry_after_s=wait_s)
