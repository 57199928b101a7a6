"""Carrying a strategy out: call, score, accept or go on, and account for every call exactly once.

Knows nothing of prices, HTTP or storage: the log that it opens and closes attempts in is the caller's.
"""

import logging
import time
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Protocol

from router.backends.backend import Backend, Call, Chunk, Reply
from router.errors import BackendBroken, BackendError, BackendTimeout, StrategyError
from router.ids import new_id
from router.outcome import Attempt, AttemptState, Outcome, StopReason
from router.strategy import Stage, Strategy
from router.streaming import says_something
from scorer.answer import Answer, Query, Usage
from scorer.errors import ScorerError

_telemetry = logging.getLogger(__name__)
_NEVER_SENT = Usage(prompt_tokens=0, completion_tokens=0, source="counted")


class AnswerScorer(Protocol):
    """What a cascade needs of a scorer."""

    @property
    def version(self) -> str: ...

    def score(self, query: Query, answer: Answer, others: Sequence[Answer]) -> float:
        """P(the answer is good), given the other answers already paid for. Raises ScorerError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """An attempt about to be made."""

    attempt_id: str
    stage: int
    model: str


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


class Cascade:
    """The one that carries strategies out on the given backends, by model name."""

    def __init__(self, backends: Mapping[str, Backend]) -> None:
        self._backends = backends

    async def run(
        self,
        query: Query,
        call: Call,
        strategy: Strategy,
        scorer: AnswerScorer | None,
        log: AttemptLog,
        *,
        live: bool,
    ) -> AsyncGenerator[Chunk | Outcome]:
        """Chunks of a live stream, if any, then exactly one Outcome, also where nobody answers.

        call : its ``timeout_s``, if any, holds for all stages together.
        live : let the client watch a stage that takes whatever comes (threshold None). Once a chunk went out there is
            no other model: if that call dies, the Outcome is "failed".

        A call that fails is an attempt that never passes. Without a score (no scorer, a scorer that fails, several
        choices in one reply, which no score covers) the safe model answers. Where the log refuses to open an attempt,
        the best answer so far stands. If the caller cancels or closes the generator, it hangs up on the upstream and
        the attempt under way is closed as "cancelled"; there is no Outcome then.
        """
        run = _Run(query=query, call=call, strategy=strategy, scorer=scorer, log=log, live=live)
        named = dict.fromkeys([*(stage.model for stage in strategy.stages), strategy.safe_model])
        missing = [model for model in named if model not in self._backends]
        if missing:
            run.error = StrategyError(f"strategy {strategy.id}: no backend for {', '.join(missing)}")
            yield run.outcome()
            return
        for place, stage in run.places():
            async with aclosing(run.attempt(place, stage, self._backends[stage.model])) as chunks:
                async for chunk in chunks:
                    yield chunk
            if run.settled:
                break
        yield run.outcome()


def single(model: str) -> Strategy:
    """The strategy of asking one model and taking what it says."""
    return Strategy(
        id=f"single:{model}",
        kind="threshold",
        stages=(Stage(model=model),),
        reference_model=model,
        safe_model=model,
        scorer_version=None,
        evidence=None,
        created="1970-01-01T00:00:00Z",
    )


@dataclass(slots=True, kw_only=True)
class _Trial:
    """An attempt under way. It counts as cancelled, and as never sent, until it is known better."""

    opening: Opening
    threshold: float | None
    started: float = field(default_factory=time.monotonic)
    state: AttemptState = "cancelled"
    reply: Reply | None = None
    usage: Usage | None = _NEVER_SENT
    score: float | None = None
    first_token_s: float | None = None
    error: BackendError | None = None

    def dispatched(self) -> None:
        self.usage = None
        self.started = time.monotonic()

    def replied(self, reply: Reply) -> None:
        self.reply, self.usage = reply, reply.usage
        self.first_token_s = reply.first_token_s

    def closed(self) -> Attempt:
        return Attempt(
            id=self.opening.attempt_id,
            stage=self.opening.stage,
            model=self.opening.model,
            state=self.state,
            reply=self.reply,
            usage=self.usage,
            score=self.score,
            threshold=self.threshold,
            latency_s=time.monotonic() - self.started,
            first_token_s=self.first_token_s,
            error=self.error,
        )


@dataclass(slots=True, kw_only=True)
class _Run:
    """One query on its way through one strategy."""

    query: Query
    call: Call
    strategy: Strategy
    scorer: AnswerScorer | None
    log: AttemptLog
    live: bool
    started: float = field(default_factory=time.monotonic)
    attempts: list[Attempt] = field(default_factory=list)
    abstained: bool = False
    sent: bool = False  # the client has seen a chunk
    stopped: bool = False  # no further call may be made
    error: Exception | None = None

    @property
    def settled(self) -> bool:
        return self.sent or self.stopped or self._accepted() is not None

    def places(self) -> Iterator[tuple[int, Stage]]:
        """The stages to try, each asked for only after the one before did not settle it."""
        stages = self.strategy.stages
        scored = any(stage.threshold is not None for stage in stages)
        several = self.call.body.get("n") not in (None, 1)
        self.abstained = scored and (self.scorer is None or several)
        for place, stage in enumerate(stages):
            if self.abstained:
                break
            yield place, stage
        if self.abstained and self._of_safe_model() is None:
            models = [stage.model for stage in stages]
            safe = self.strategy.safe_model
            yield models.index(safe) if safe in models else len(models), Stage(model=safe)

    async def attempt(self, place: int, stage: Stage, backend: Backend) -> AsyncGenerator[Chunk]:
        """Open, call, judge; close whatever happens. Yields the chunks that the client may see."""
        left_s = self._left_s()
        if left_s is not None and left_s <= 0:
            self.stopped, self.error = True, BackendTimeout(stage.model, "the request's time was up before this call")
            return
        trial = _Trial(
            opening=Opening(attempt_id=new_id("att"), stage=place, model=stage.model), threshold=stage.threshold
        )
        try:
            await self.log.open(trial.opening)
        except Exception as refusal:  # noqa: BLE001  whatever a log refuses with is the caller's to tell
            self.stopped, self.error = True, refusal
            return
        except BaseException:  # cancelled while opening: it may be open
            self._close(trial)
            raise
        try:
            trial.dispatched()
            call = replace(self.call, timeout_s=self._left_s())
            if self.live and stage.threshold is None:
                async with aclosing(self._watched(trial, backend.stream(call))) as chunks:
                    async for chunk in chunks:
                        yield chunk
            else:
                trial.replied(await backend.complete(call))
                trial.state = self._judged(trial)
        except BackendError as error:
            trial.state, trial.error = "failed", error
        except Exception as error:  # noqa: BLE001  one backend's bug is one failed call, not a lost request
            _telemetry.exception("backend %s broke its promise", stage.model)
            trial.state, trial.error = "failed", BackendBroken(stage.model, f"unexpected {type(error).__name__}")
        finally:
            self._close(trial)

    async def _watched(self, trial: _Trial, stream: AsyncGenerator[Chunk]) -> AsyncGenerator[Chunk]:
        """The stream, from the first word on: an upstream that dies after the mere role can still be replaced."""
        held: list[Chunk] = []
        async with aclosing(stream) as chunks:
            async for chunk in chunks:
                trial.usage = chunk.usage or trial.usage
                if chunk.reply is not None:
                    trial.replied(chunk.reply)
                    trial.state = "accepted"
                held.append(chunk)
                if chunk.reply is None and not self.sent and not says_something(chunk.body or {}):
                    continue
                if trial.first_token_s is None:
                    trial.first_token_s = time.monotonic() - trial.started
                self.sent = True
                for ready in held:
                    yield ready
                held.clear()
        if trial.reply is None:
            raise BackendBroken(trial.opening.model, "the stream ended without its reply")

    def _judged(self, trial: _Trial) -> AttemptState:
        if trial.threshold is None or trial.reply is None:
            return "accepted"
        trial.score = self._score(trial.reply.answer)
        if trial.score is None:
            self.abstained = True
            return "accepted" if trial.opening.model == self.strategy.safe_model else "rejected"
        return "accepted" if trial.score >= trial.threshold else "rejected"

    def _score(self, answer: Answer) -> float | None:
        """The score, or None where there is none that could be trusted."""
        if self.scorer is None:
            return None
        others = [attempt.reply.answer for attempt in self.attempts if attempt.reply is not None]
        try:
            score = self.scorer.score(self.query, answer, others)
        except ScorerError as error:
            _telemetry.warning("no score for an answer of %s: %s", answer.model, error)
            return None
        except Exception:  # noqa: BLE001  a scorer's bug must not cost the client its answer
            _telemetry.exception("the scorer broke its promise on an answer of %s", answer.model)
            return None
        return score if 0.0 <= score <= 1.0 else None  # NaN is not

    def _close(self, trial: _Trial) -> None:
        attempt = trial.closed()
        self.attempts.append(attempt)
        if attempt.error is not None:
            self.error = attempt.error
        self.log.close(attempt)

    def _left_s(self) -> float | None:
        if self.call.timeout_s is None:
            return None
        return self.call.timeout_s - (time.monotonic() - self.started)

    def _accepted(self) -> Attempt | None:
        return next((attempt for attempt in self.attempts if attempt.state == "accepted"), None)

    def _of_safe_model(self) -> Attempt | None:
        replied = (attempt for attempt in self.attempts if attempt.reply is not None)
        return next((attempt for attempt in replied if attempt.model == self.strategy.safe_model), None)

    def outcome(self) -> Outcome:
        """How it ended, from the attempts that were made."""
        answered, reason = self._answered()
        return Outcome(
            query_id=self.query.id,
            strategy_id=self.strategy.id,
            attempts=tuple(self.attempts),
            answered=answered,
            stop_reason=reason,
            error=None if answered is not None and answered.state == "accepted" else self.error,
        )

    def _answered(self) -> tuple[Attempt | None, StopReason]:
        accepted = self._accepted()
        if accepted is not None:
            at_last = accepted.threshold is None and accepted.stage == len(self.strategy.stages) - 1
            return accepted, "scorer_abstained" if self.abstained else "last_stage" if at_last else "accepted"
        if self.sent:  # a part of another answer is with the client
            return None, "failed"
        if self.abstained and self._of_safe_model() is not None:  # it had been paid for before the scorer failed
            return self._of_safe_model(), "scorer_abstained"
        scored = [attempt for attempt in self.attempts if attempt.reply is not None and attempt.score is not None]
        if scored:
            return max(scored, key=lambda attempt: attempt.score or 0.0), "best_so_far"
        return None, "failed"
