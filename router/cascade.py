"""Carrying a strategy out: call, score, accept or go on, and account for every call exactly once.

Knows nothing of prices, HTTP or storage: the log that it opens and closes attempts in is the caller's.
"""

import logging
import time
from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from router.backends.backend import Call, Chunk
from router.backends.pool import Pool
from router.calling import Asked, Asking, ask
from router.consulting import Consulting
from router.draining import Drainage
from router.entering import enter, stages_from
from router.errors import BackendError, BackendRefused, NotRecorded, StrategyError, VerificationFailed
from router.judging import AnswerScorer, doubt_of, score_of, why_doubted
from router.mixture import Mixture
from router.outcome import Abstention, Attempt, AttemptState, Cause, Entered, Outcome, StopReason, failed
from router.planned import Believer, Course
from router.proposing import Proposal, Proposing
from router.releasing import Watch, watching
from router.strategy import Stage, Strategy
from router.trial import AttemptLog, Trial
from router.verifiers.gate import Gate
from scorer.answer import Answer, Query
from scorer.consensus import most_agreed
from scorer.errors import ScorerError

_telemetry = logging.getLogger(__name__)


class Cascade:
    """The one that carries strategies out on the given models' deployments, by model name.

    drained : the models whose calls go on in ``drainage`` when nobody waits for them any more.
    mixtures : by name, the models that are made of several; their pools call as their aggregators do.
    """

    def __init__(
        self,
        pools: Mapping[str, Pool],
        *,
        drainage: Drainage | None = None,
        drained: Collection[str] = (),
        mixtures: Mapping[str, Mixture] | None = None,
    ) -> None:
        self._pools, self._mixtures = pools, mixtures or {}
        self._drainages = {} if drainage is None else dict.fromkeys(drained, drainage)

    async def run(
        self,
        query: Query,
        call: Call,
        strategy: Strategy,
        scorer: AnswerScorer | None,
        log: AttemptLog,
        *,
        live: bool,
        fallbacks: Sequence[str] = (),
        unlike_rate: float = 0.0,
        gate: Gate | None = None,
        early: bool = False,
    ) -> AsyncGenerator[Chunk | Outcome]:
        """Chunks of a live stream, if any, then exactly one Outcome, also where nobody answers.

        call : its ``timeout_s``, if any, holds for all stages together.
        live : let the client watch a stage that takes whatever comes (threshold None). Once a chunk went out there is
            no other model: if that call dies, the Outcome is "failed".

        fallbacks : models outside the strategy, asked in this order where its last stage cannot answer.

        unlike_rate : see ``AnswerScorer.doubt``; a query that is doubted goes straight to the safe model.

        early : where it is live, let the first stage's answer go as soon as its beginning reaches the strategy's
        ``release``, if it has one and the scorer judges beginnings. Nothing of it is seen before.

        gate : verifiers. What they fail is never accepted; an answer is then whole before the client sees any of it.

        A call that fails is an attempt that never passes. Without a score (no scorer, a scorer that fails, several
        choices in one reply, which no score covers) the safe model answers. Where the log refuses to open an attempt,
        the best answer so far stands. If the caller cancels or closes the generator, it hangs up on the upstream and
        the attempt under way is closed as "cancelled"; there is no Outcome then.
        """
        run = _Run(query=query, call=call, strategy=strategy, scorer=scorer, log=log, live=live)
        run.unlike_rate, run.gate, run.pools, run.early = unlike_rate, gate, self._pools, early
        run.drainages, run.mixtures = self._drainages, self._mixtures
        named = dict.fromkeys([*(stage.model for stage in strategy.stages), strategy.safe_model, *fallbacks])
        missing = [model for model in named if model not in self._pools]
        if missing:
            run.error = StrategyError(f"strategy {strategy.id}: no backend for {', '.join(missing)}")
            yield run.outcome()
            return
        for place, stage in run.places():
            async with aclosing(run.attempt(place, stage, self._pools[stage.model])) as chunks:
                async for chunk in chunks:
                    yield chunk
            if run.settled:
                break
        for place, model in enumerate(fallbacks, start=len(strategy.stages) + 1):
            if not run.needs_fallback:
                break
            run.cause = "fallback"
            async with aclosing(run.attempt(place, Stage(model=model), self._pools[model])) as chunks:
                async for chunk in chunks:
                    yield chunk
        yield run.outcome()


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
    unlike_rate: float = 0.0
    gate: Gate | None = None
    early: bool = False
    pools: Mapping[str, Pool] = field(default_factory=dict)
    drainages: Mapping[str, Drainage] = field(default_factory=dict)  # by model
    mixtures: Mapping[str, Mixture] = field(default_factory=dict)
    proposals: list[Proposal] = field(default_factory=list)
    proposed: list[Attempt] = field(default_factory=list)  # every call for one
    abstention: Abstention | None = None
    sent: bool = False  # the client has seen a chunk
    stopped: bool = False  # no further call may be made
    error: Exception | None = None
    cause: Cause = "first"
    course: Course | None = None  # through the strategy's plan
    entered: Entered | None = None
    best_seen: str | None = None  # whose earlier answer the plan stopped with

    @property
    def settled(self) -> bool:
        return self.sent or self.stopped or self.best_seen is not None or self._accepted() is not None

    @property
    def needs_fallback(self) -> bool:
        """Whether the strategy could not be carried out to its end, for a reason that another model may not have."""
        if self.settled or not isinstance(self.error, BackendError):
            return False
        return not isinstance(self.error, BackendRefused | NotRecorded) and self._answered()[1] != "scorer_abstained"

    def places(self) -> Iterator[tuple[int, Stage]]:
        """The stages to try, each asked for only after the one before did not settle it."""
        stages = self.strategy.stages
        self.abstention = self._abstention() if self.strategy.needs_scorer else None
        self.entered = None if self.abstained else enter(self.strategy, self.scorer, self.query)
        for place, stage in stages_from(self.entered, stages) if self.strategy.plan is None else self._planned():
            if self.abstained:
                break
            if stage.threshold is not None and self._passes_by(stage.model):
                continue
            yield place, stage
        unverified = not self.settled and any(attempt.failed_verification for attempt in self.attempts)
        if (self.abstained or unverified) and self._of_safe_model() is None:
            models, safe = [stage.model for stage in stages], self.strategy.safe_model
            yield models.index(safe) if safe in models else len(models), Stage(model=safe)

    def _passes_by(self, model: str) -> bool:
        """Whether a model's engines have requests waiting, so that another one had better be asked."""
        mixture = self.mixtures.get(model)
        pool = self.pools.get(model if mixture is None else mixture.aggregator)
        if pool is None or not pool.is_saturated:
            return False
        pool.skipped += 1
        return True

    def _planned(self) -> Iterator[tuple[int, Stage]]:
        """Whom the plan asks, until it stops or nobody can be asked. A model that failed is not asked again."""
        plan, scorer = self.strategy.plan, self.scorer
        models = [stage.model for stage in self.strategy.stages]
        if plan is None or scorer is None or not isinstance(scorer, Believer):
            self.abstention = "no_scorer"
            return
        able = {model for model in models if not self._passes_by(model)} or set(models)
        course = self.course = Course(plan=plan, query=self.query, believer=scorer, able=able)
        chosen = self._decide()
        while chosen is not None:
            yield models.index(chosen), Stage(model=chosen)
            if self._answers and self._answers[-1].model == chosen:  # judged as it arrived
                chosen = course.steps[-1].chosen
                continue
            course.able.discard(chosen)
            chosen = self._decide()
            if chosen is None and not self.abstained:
                self.best_seen = course.best()

    def _decide(self, *more: Answer) -> str | None:
        """Whom the plan asks with the answers so far and ``more``; None if nobody, or if nothing can be believed."""
        if self.course is None:
            return None
        try:
            return self.course.decide([*self._answers, *more]).chosen
        except ScorerError as error:
            _telemetry.warning("no beliefs about a query: %s", error)
        except Exception:  # noqa: BLE001  a scorer's bug must not cost the client its answer
            _telemetry.exception("the scorer broke its promise on a query")
        self.abstention = "scorer_failed"
        return None

    @property
    def _answers(self) -> list[Answer]:
        return [attempt.reply.answer for attempt in self.attempts if attempt.reply is not None]

    def _abstention(self) -> Abstention | None:
        """Why no answer to this request could be scored, as far as that is known before any call."""
        if self.scorer is None:
            return "no_scorer"
        if self.strategy.kind != "route" and self.call.body.get("n") not in (None, 1):
            return "several_choices"
        return why_doubted(self.scorer, self.query, self.unlike_rate)

    @property
    def abstained(self) -> bool:
        return self.abstention is not None

    async def attempt(self, place: int, stage: Stage, pool: Pool) -> AsyncGenerator[Chunk]:
        """Ask one stage's model, however many calls that takes. Yields the chunks that the client may see."""
        asked, call = Asked(), self.call
        mixture = self.mixtures.get(stage.model)
        if mixture is not None:
            proposed = await self._proposed(mixture, place)
            if proposed is None:
                return
            call = proposed
        asking = Asking(
            place=place,
            threshold=stage.threshold,
            call=call,
            own_body=mixture is not None,
            live=self._watched(stage),
            ends=None if self.call.timeout_s is None else self.started + self.call.timeout_s,
            log=self.log,
            judge=self._judge,
            closed=self._closed,
            cause=self.cause,
            watch=self._watch(place, stage),
            drainage=self.drainages.get(pool.model),
        )
        async with aclosing(ask(pool, asking, asked)) as chunks:
            async for chunk in chunks:
                self.sent = True
                yield chunk
        self.error = asked.error or self.error
        self.stopped = self.stopped or asked.refused

    async def _proposed(self, mixture: Mixture, place: int) -> Call | None:
        """The aggregator's call, once there are proposals; None where there are too few."""
        ends = None if self.call.timeout_s is None else self.started + self.call.timeout_s
        proposing = Proposing(mixture=mixture, pools=self.pools, log=self.log, place=place, ends=ends)
        scores = [attempt.score for attempt in self.attempts]
        doubt = doubt_of(self.scorer, self.query, scores, mixture.models)
        found, error = await proposing.gather(self.call, doubt, self.attempts)
        self.proposals.extend(found)
        self.proposed.extend(proposing.attempts)
        if error is None:
            return replace(self.call, body=mixture.aggregate(self.call.body, [one.answer for one in found]))
        self.error, self.stopped = error, self.stopped or not isinstance(error, BackendError)
        return None

    def _watched(self, stage: Stage) -> bool:
        """Whether the client may see a stage's answer before it is whole: nothing about it is to be decided then."""
        judged = stage.threshold is not None or self.strategy.kind == "cascade_route" or self.gate is not None
        return self.live and not judged

    def _watch(self, place: int, stage: Stage) -> Callable[[], Watch] | None:
        """What listens to a stage's answer to let it go early, where that may be."""
        release, judged = self.strategy.release, stage.threshold is not None and self.gate is None
        if release is None or not (self.early and self.live and judged) or place > 0 or self.abstained:
            return None
        return watching(self.scorer, self.query, stage.model, release)

    async def _judge(self, trial: Trial) -> None:
        if self.gate is None or trial.reply is None:
            trial.state = self._judged(trial)
            return
        left_s = None if self.call.timeout_s is None else self.started + self.call.timeout_s - time.monotonic()
        asking = Consulting(self.pools, self.log, place=trial.opening.stage, request_id=self.call.request_id)
        trial.verdicts = await self.gate.check(self.query, trial.reply.answer, asking.ask, left_s)
        if self.strategy.plan is None and self.gate.accepts(trial.verdicts):
            trial.state = "accepted"
            return
        trial.state = self._judged(trial)
        if failed(trial.verdicts):
            trial.state = "rejected"

    def _closed(self, attempt: Attempt) -> None:
        self.attempts.append(attempt)
        self.log.close(attempt)

    def _judged(self, trial: Trial) -> AttemptState:
        if self.strategy.kind == "cascade_route" and self.course is not None and not self.abstained:
            return self._judged_by_plan(trial)
        if trial.threshold is None or trial.reply is None:
            return "accepted"
        trial.score = self._score(trial.reply.answer)
        if trial.score is None:
            self.abstention = self.abstention or "scorer_failed"
            return "accepted" if trial.opening.model == self.strategy.safe_model else "rejected"
        return "accepted" if trial.score >= trial.threshold else "rejected"

    def _judged_by_plan(self, trial: Trial) -> AttemptState:
        if trial.reply is None or self.course is None:
            return "accepted"
        chosen = self._decide(trial.reply.answer)
        if self.abstained:
            return "accepted" if trial.opening.model == self.strategy.safe_model else "rejected"
        trial.score = self.course.steps[-1].beliefs[trial.opening.model]
        best = self.course.best() if chosen is None else None
        if best == trial.opening.model:
            return "accepted"
        self.best_seen = best
        return "rejected"

    def _score(self, answer: Answer) -> float | None:
        """The score, or None where there is none that could be trusted."""
        proposed = [one.answer for one in self.proposals]
        score, why_not = score_of(self.scorer, self.query, answer, [*self._answers, *proposed])
        self.abstention = why_not or self.abstention
        return score

    def _accepted(self) -> Attempt | None:
        return next((attempt for attempt in self.attempts if attempt.state == "accepted"), None)

    def _of_safe_model(self) -> Attempt | None:
        replied = (attempt for attempt in self.attempts if attempt.reply is not None)
        return next((attempt for attempt in replied if attempt.model == self.strategy.safe_model), None)

    def outcome(self) -> Outcome:
        """How it ended, from the attempts that were made."""
        answered, reason = self._answered()
        if self.gate is not None and (answered is None or answered.failed_verification):
            answered, reason = self._unverified(self.gate)
        return Outcome(
            query_id=self.query.id,
            strategy_id=self.strategy.id,
            attempts=tuple(self.attempts),
            answered=answered,
            stop_reason=reason,
            steps=() if self.course is None else tuple(self.course.steps),
            proposals=tuple(self.proposed),
            entered=self.entered,
            abstention=self.abstention if reason == "scorer_abstained" else None,
            error=None if answered is not None and answered.state == "accepted" else self.error,
        )

    def _unverified(self, gate: Gate) -> tuple[Attempt | None, StopReason]:
        """Where the answer failed a verifier: the best scored one that failed none, else the last one, or none."""
        replied = [attempt for attempt in self.attempts if attempt.reply is not None]
        sound = [attempt for attempt in replied if not attempt.failed_verification and attempt.score is not None]
        if sound:
            return max(sound, key=lambda attempt: attempt.score or 0.0), "best_so_far"
        if not replied:
            return None, "failed"
        if gate.refuses:
            self.error = VerificationFailed("every answer failed a verifier of the policy")
            return None, "failed"
        return replied[-1], "failed_verification"

    def _answered(self) -> tuple[Attempt | None, StopReason]:
        accepted = self._accepted()
        if accepted is not None and accepted.cause == "fallback":
            return accepted, "fallback"
        if accepted is not None and accepted.released:
            return accepted, "released"
        if accepted is not None:
            at_last = accepted.threshold is None and accepted.stage == len(self.strategy.stages) - 1
            return accepted, "scorer_abstained" if self.abstained else "last_stage" if at_last else "accepted"
        if self.sent:  # a part of another answer is with the client
            return None, "failed"
        if self.best_seen is not None:
            replied = (attempt for attempt in self.attempts if attempt.reply is not None)
            return next(attempt for attempt in replied if attempt.model == self.best_seen), "best_seen"
        if self.abstained and self._of_safe_model() is not None:  # it had been paid for before the scorer failed
            return self._of_safe_model(), "scorer_abstained"
        scored = [attempt for attempt in self.attempts if attempt.reply is not None and attempt.score is not None]
        if scored:
            return max(scored, key=lambda attempt: attempt.score or 0.0), "best_so_far"
        if self.proposals and self.gate is None:  # paid for, and nobody made one answer of them; no verifier saw them
            agreed = most_agreed(self.query, [one.answer for one in self.proposals])
            return self.proposals[agreed].attempt, "best_so_far"
        return None, "failed"
