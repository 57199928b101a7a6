"""One attempt, from its opening in a log to its closing. Knows what is known of it meanwhile, and calls nobody."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from router.backends.backend import Reply
from router.errors import BackendError
from router.outcome import Attempt, AttemptKind, AttemptState, Cause, Verdict
from scorer.answer import Usage

_NEVER_SENT = Usage(prompt_tokens=0, completion_tokens=0, source="counted")


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """An attempt about to be made. deployment : where, by its name among the model's.   tier_of : the model whose tier
    it belongs to, where that is another one."""

    attempt_id: str
    stage: int
    model: str
    deployment: str | None = None
    cause: Cause = "first"
    kind: AttemptKind = "answer"
    body: Mapping[str, Any] | None = None  # where it is not the request's own
    tier_of: str | None = None


class AttemptLog(Protocol):
    """Where attempts are reserved before they are dispatched, and settled after."""

    async def open(self, opening: Opening) -> None:
        """Return once the reservation is committed. May raise to refuse: the call is then not made, nor closed."""
        ...

    def close(self, attempt: Attempt) -> None:
        """Settle. Never blocks, never raises; called exactly once for each opening, also on cancellation.

        If ``open`` itself was cancelled, this may name an attempt that was never reserved.
        """
        ...


@dataclass(slots=True, kw_only=True)
class Trial:
    """An attempt under way. It counts as cancelled, and as never sent, until it is known better."""

    opening: Opening
    threshold: float | None
    started: float = field(default_factory=time.monotonic)
    state: AttemptState = "cancelled"
    reply: Reply | None = None
    usage: Usage | None = _NEVER_SENT
    score: float | None = None
    first_token_s: float | None = None
    heard: list[str] = field(default_factory=list)
    error: BackendError | None = None
    verdicts: tuple[Verdict, ...] = ()
    released: bool = False

    def dispatched(self) -> None:
        self.usage = None
        self.started = time.monotonic()

    def replied(self, reply: Reply) -> None:
        self.reply, self.usage = reply, reply.usage
        if reply.first_token_s is not None:
            self.first_token_s = reply.first_token_s

    def failed(self, error: BackendError) -> None:
        self.state, self.error = "failed", error

    def closed(self) -> Attempt:
        return Attempt(
            id=self.opening.attempt_id,
            stage=self.opening.stage,
            model=self.opening.model,
            deployment=self.opening.deployment,
            cause=self.opening.cause,
            state=self.state,
            reply=self.reply,
            usage=self.usage,
            score=self.score,
            threshold=self.threshold,
            latency_s=time.monotonic() - self.started,
            first_token_s=self.first_token_s,
            heard="".join(self.heard) if self.reply is None else "",
            error=self.error,
            verdicts=self.verdicts,
            released=self.released,
        )
