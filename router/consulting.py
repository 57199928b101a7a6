"""One call of a model for the gateway's own purposes, not for a client: reserved, made, settled, once.

Knows pools and logs. It is not tried again: who consults can do without the answer.
"""

from collections.abc import Mapping
from typing import Any

from router.attempting import attempted
from router.backends.backend import Call, Reply
from router.backends.pool import Pool
from router.errors import BackendSaturated
from router.ids import new_id
from router.outcome import AttemptKind
from router.trial import AttemptLog, Opening, Trial


class Consulting:
    """Asks judges, or in shadow, on account of one request.

    Raises what the call or the log raises; every attempt is closed once.
    waits : for its turn, where there is a queue. Who does not wait is turned away with BackendSaturated.
    """

    def __init__(
        self,
        pools: Mapping[str, Pool],
        log: AttemptLog,
        *,
        place: int,
        request_id: str,
        kind: AttemptKind = "judge",
        cache_salt: str | None = None,
        affinity: str | None = None,
        tier_of: str | None = None,
        waits: bool = True,
    ) -> None:
        self._pools, self._log, self._place, self._request_id = pools, log, place, request_id
        self._kind, self._waits, self._cache_salt = kind, waits, cache_salt
        self._affinity, self._tier_of = affinity, tier_of

    async def ask(self, model: str, body: Mapping[str, Any], timeout_s: float) -> Reply:
        """One call, as an attempt of its own."""
        pool = self._pools[model]
        turn = await pool.turn(timeout_s=timeout_s, affinity=self._affinity) if self._waits else pool.turn_now()
        if turn is None:
            raise BackendSaturated(model, "has no place for a call that can be done without")
        opening = Opening(
            attempt_id=new_id("att"),
            stage=self._place,
            model=model,
            deployment=turn.deployment.name if len(pool.deployments) > 1 else None,
            kind=self._kind,
            body=body,
            tier_of=self._tier_of,
        )
        trial = Trial(opening=opening, threshold=None)
        call = Call(
            request_id=self._request_id,
            body=body,
            timeout_s=timeout_s,
            attempt_id=opening.attempt_id,
            cache_salt=self._cache_salt,
            affinity=self._affinity,
        )
        try:
            return await attempted(self._log, trial, lambda: turn.deployment.backend.complete(call))
        finally:
            turn.end(trial.error, alive=trial.reply is not None, timeout_s=timeout_s)
