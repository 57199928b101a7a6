"""The one way of a completion: cache, policy, cascade, ledger, cache again.

Knows the order of these steps and who must hear of what. Knows no HTTP: the routes that serve completions, and nobody
else, call it.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractContextManager, aclosing, nullcontext
from dataclasses import replace

from gateway.admission import Gate, Passing, must_be_open_to
from gateway.affordable import as_afforded, within_limit
from gateway.cache.cache import CacheEntry
from gateway.cache.flights import Flight
from gateway.cache.rules import prompt_cache_salt
from gateway.canary import lot_of
from gateway.capabilities import needs_of
from gateway.choice import Choice
from gateway.congestion import priced_by_load
from gateway.conversations import Conversations, Hold, conversation_of
from gateway.errors import NotCached
from gateway.exchange import ChatRequest, Completion, Decision
from gateway.idempotency.once import Once
from gateway.keys import Caller
from gateway.ledger.entry import CacheStatus, RequestRecord, RequestStatus, Spent, usd
from gateway.ledger.tariff import Tariff
from gateway.ledger.writer import LedgerWriter
from gateway.page import Page
from gateway.policies import PolicyBook
from gateway.request_record import as_altered, record_of
from gateway.reuse import Reuse
from gateway.shadowing import Repeated, Shadowing
from gateway.telemetry.metrics import Telemetry
from gateway.transcripts.keeper import Transcript, TranscriptKeeper
from gateway.upstream_errors import refusal
from router.backends.backend import Call, Chunk
from router.backends.pool import Pool
from router.cascade import Cascade
from router.outcome import Attempt, Outcome
from router.pacing import under_pressure

Held = Callable[[], AbstractContextManager[object]]


class Completions:
    """Everything that answering takes, put together by the composition root for one configuration.

    tariff : what calls cost.   held : entered for as long as an answer is made, whoever still listens.
    reuse : answers that need not be asked for.   cache_secret : see ``gateway.cache.rules.prompt_cache_salt``.
    timeout_s : for all calls of a request together; when it is up, the best answer that was paid for stands.
    once : answers what has an Idempotency-Key.
    """

    def __init__(
        self,
        *,
        policies: PolicyBook,
        cascade: Cascade,
        pools: Mapping[str, Pool],
        ledger: LedgerWriter,
        tariff: Tariff,
        gate: Gate,
        reuse: Reuse,
        cache_secret: bytes,
        telemetry: Telemetry,
        timeout_s: float,
        once: Once,
        conversations: Conversations,
        shadowing: Shadowing,
        transcripts: TranscriptKeeper,
        held: Held = nullcontext,
    ) -> None:
        self._once, self._held = once, held
        self._policies, self._cascade, self._ledger = policies, cascade, ledger
        self._reuse, self._cache_secret, self._telemetry = reuse, cache_secret, telemetry
        self._timeout_s, self._gate = timeout_s, gate
        self._conversations, self._shadowing = conversations, shadowing
        self._transcripts = transcripts
        self._tariff, self._pools = tariff, pools

    async def complete(self, request: ChatRequest, caller: Caller) -> AsyncGenerator[Decision | Chunk | Completion]:
        """Answer a request: a Decision and Chunks if the answer is streamed live, then exactly one Completion.

        Raises RequestError if nobody answers, possibly after chunks. Closing the generator hangs up on the upstream
        and settles its attempt as cancelled, unless the request has an Idempotency-Key: then it is answered
        nevertheless, for whoever asks again.
        """
        if request.once is None:
            answering = self._complete(request, caller)
        else:
            answering = self._once.answer(request.once, caller, lambda: self._complete(request, caller))
        async with aclosing(answering) as events:
            async for event in events:
                yield event

    async def _complete(self, request: ChatRequest, caller: Caller) -> AsyncGenerator[Decision | Chunk | Completion]:
        with self._held():
            async with aclosing(self._let_in(request, caller)) as events:
                async for event in events:
                    yield event

    async def _let_in(self, request: ChatRequest, caller: Caller) -> AsyncGenerator[Decision | Chunk | Completion]:
        named = self._policies.named(request.model, request.wishes)
        lot = lot_of(caller.tenant_id, conversation_of(request.query.messages)) if self._policies.has_canaries else 1.0
        choice = self._policies.choose(named, request.body, request.wishes, lot)
        must_be_open_to(caller, named, choice.policy)
        choice, hold = self._held_at(request, caller, choice)
        async with self._gate.passing(caller, request.query.id, needs_of(request.body)) as passing:
            key = self._reuse.key(
                request, caller, choice
            )  # pressure comes and goes: it is no part of what is asked for
            choice = choice.streamed() if request.stream else choice
            if passing.pressure:
                strategy = under_pressure(choice.strategy, passing.pressure)
                choice = replace(choice, strategy=strategy, altered=(*choice.altered, "pressure"))
            choice = priced_by_load(choice, self._pools)
            async with aclosing(self._passed(request, caller, choice, passing, key, hold)) as events:
                async for event in events:
                    if isinstance(event, Completion) and choice.sticky is not None:
                        owner, tier = _owner(caller, choice), event.decision.tier or 1
                        judged = event.decision.stop_reason in ("accepted", "last_stage", "best_seen")
                        escalated = judged and tier > choice.tier(choice.strategy.stages[0].model)
                        self._conversations.answered(
                            owner, request.query.messages, tier, choice.sticky, hold, escalated=escalated
                        )
                    yield event

    async def _passed(
        self, request: ChatRequest, caller: Caller, choice: Choice, passing: Passing, key: str | None, hold: Hold | None
    ) -> AsyncGenerator[Decision | Chunk | Completion]:
        record = record_of(request, caller, choice, passing, hold)
        wish = request.wishes.cache
        entry = None if key is None else await self._reuse.found(key, choice, wish)
        async with self._reuse.boarded(
            key if entry is None else None, request, choice, self._given_s(request)
        ) as flight:
            if key is not None and flight.others:
                entry = await self._reuse.found(key, choice, wish)
                self._telemetry.waited(choice.policy, answered=entry is not None)
            if entry is None and wish.only:
                raise NotCached("No answer to this request is kept, and no model was to be asked.")
            async with aclosing(
                self._begun(request, caller, choice, passing, key, hold, record, entry, flight)
            ) as events:
                async for event in events:
                    yield event

    async def _begun(
        self,
        request: ChatRequest,
        caller: Caller,
        choice: Choice,
        passing: Passing,
        key: str | None,
        hold: Hold | None,
        record: RequestRecord,
        entry: CacheEntry | None,
        flight: Flight,
    ) -> AsyncGenerator[Decision | Chunk | Completion]:
        status: CacheStatus = "DISABLED" if key is None else "MISS" if entry is None else "HIT"
        self._telemetry.looked_up(choice.policy, status)
        most_nanousd, clamped = _limit(request, caller)
        log = self._ledger.log_for(record, request.body, most_nanousd=most_nanousd, tariff=self._tariff)
        choice = within_limit(choice, most_nanousd, log.bound_nanousd)
        await self._ledger.open_request(as_altered(record, choice))
        page = Page(log, choice, self._telemetry, passing, self._transcript(request))
        page.asked(request)
        draft = Decision(
            id=record.decision_id,
            created=record.created,
            policy=choice.policy,
            strategy_id=record.strategy_id,
            cache=status,
            model=choice.strategy.stages[-1].model,
            pressure=passing.pressure or None,
            rates=passing.headers,
            certificate=choice.certificate,
            clamped=clamped,
            sticky=None if hold is None else hold.tier,
            streaming=choice.streaming if request.stream and choice.policy is not None else None,
        )
        if entry is not None:
            yield self._cached(request, draft, choice, entry, page)
            return
        async with aclosing(self._answer(request, caller, choice, page, draft, flight.waited_s)) as events:
            async for event in events:
                if isinstance(event, Completion):
                    self._shadow(request, choice, page, record)
                    if key is not None:
                        await self._reuse.keep(key, request, choice, event)
                    flight.over()
                yield event

    def _transcript(self, request: ChatRequest) -> Transcript | None:
        wanted = request.wishes.transcript and request.body.get("store") is not False and "messages" in request.body
        return self._transcripts.of(request.query) if wanted else None

    def _shadow(self, request: ChatRequest, choice: Choice, page: Page, record: RequestRecord) -> None:
        """Ask the reference model too, where that was drawn and it did not answer anyway."""
        shadow, model = choice.shadow, choice.strategy.reference_model
        if shadow is None or not shadow.takes(record.decision_id) or page.log.has_answer_of(model):
            return
        log = self._ledger.log_for(record, request.body, tariff=self._tariff)
        self._shadowing.begin(
            Repeated(
                policy=record.policy or "",
                shadow=shadow,
                request_id=record.decision_id,
                body=request.body,
                model=model,
                place=choice.tier(model) - 1,
                timeout_s=self._timeout_s,
                page=Page(log, choice, self._telemetry, Passing(pressure=0.0, headers={}), page.transcript),
                pools=self._pools,
                held=self._held(),
                cache_salt=prompt_cache_salt(self._cache_secret, record.tenant_id),
            )
        )

    def _held_at(self, request: ChatRequest, caller: Caller, choice: Choice) -> tuple[Choice, Hold | None]:
        """The choice without the tiers that the request's conversation has left behind, and where it stands."""
        if choice.sticky is None:
            return choice, None
        hold = self._conversations.hold_of(_owner(caller, choice), request.query.messages)
        kept = None if hold is None else choice.only(lambda model: choice.tier(model) >= hold.tier, "sticky")
        if kept is None or kept is choice:  # nothing is held, or the client's own wish leaves no such tier
            return choice, None
        self._telemetry.stuck(choice.policy)
        return kept, hold

    async def _answer(
        self, request: ChatRequest, caller: Caller, choice: Choice, page: Page, draft: Decision, waited_s: float
    ) -> AsyncGenerator[Decision | Chunk | Completion]:
        """Run the cascade; whatever happens, the ledger hears how the request ended."""
        outcome: Outcome | None = None
        live = False
        timeout_s = self._given_s(request) - waited_s
        call = Call(
            request_id=request.query.id,
            body=request.body,
            timeout_s=timeout_s,
            affinity=conversation_of(request.query.messages),
            cache_salt=prompt_cache_salt(self._cache_secret, caller.tenant_id),
        )
        running = self._cascade.run(
            request.query,
            call,
            choice.strategy,
            choice.scorer,
            page,
            live=request.stream,
            fallbacks=choice.fallbacks,
            unlike_rate=choice.unlike_rate,
            gate=choice.gate,
            early=choice.streaming == "prefix",
        )
        try:
            async with aclosing(running) as events:
                async for event in events:
                    if isinstance(event, Outcome):
                        outcome = event
                        continue
                    if not live:
                        live = True
                        dropped = self._dropped(request, choice, page.model)
                        yield replace(draft, model=page.model, tier=choice.tier(page.model), dropped=dropped)
                    yield event
        except Exception:
            self._close(page, None, draft, choice, "failed")
            raise
        except BaseException:  # the client went away, or the process goes
            self._close(page, outcome, draft, choice, "cancelled")
            raise
        outcome = None if outcome is None else as_afforded(outcome, choice.when_unaffordable)
        self._close(page, outcome, draft, choice, "failed")
        if outcome is None or outcome.answered is None or outcome.answered.reply is None:
            raise refusal(outcome)
        draft = replace(draft, dropped=self._dropped(request, choice, outcome.answered.model))
        yield _completion(outcome, outcome.answered, choice, page, draft, live=live)

    def _dropped(self, request: ChatRequest, choice: Choice, model: str) -> tuple[str, ...]:
        return (*request.dropped, *choice.dropped, *self._policies.dropped(model, request.body))

    def _close(
        self, page: Page, outcome: Outcome | None, draft: Decision, choice: Choice, otherwise: RequestStatus
    ) -> None:
        """otherwise : the status if there is no outcome, or one without an answer."""
        answered = outcome.answered if outcome is not None and outcome.stop_reason != "failed" else None
        stop_reason = outcome.stop_reason if outcome is not None else otherwise
        status = "answered" if answered is not None else otherwise
        self._ledger.close_request(
            page.log.closing(
                status=status,
                cache_status=draft.cache,
                stop_reason=stop_reason,
                abstention=None if outcome is None else outcome.abstention,
                answered=answered,
                steps=() if outcome is None else outcome.decided,
            )
        )
        if outcome is not None and outcome.abstention is not None:
            self._telemetry.abstained(choice.policy, outcome.abstention)
        self._telemetry.decided(choice.policy, choice.tier(answered.model) if answered else None, stop_reason)
        page.decided(draft, stop_reason, answered)
        self._telemetry.escalated(choice.policy, () if outcome is None else outcome.escalations)
        if choice.certificate is not None:
            self._telemetry.certified(choice.policy, choice.certificate)

    def _given_s(self, request: ChatRequest) -> float:
        return self._timeout_s if request.timeout_s is None else min(self._timeout_s, request.timeout_s)

    def _cached(
        self, request: ChatRequest, draft: Decision, choice: Choice, entry: CacheEntry, page: Page
    ) -> Completion:
        self._ledger.close_request(
            page.log.closing(
                status="cached",
                cache_status="HIT",
                answered_model=entry.model,
                cached_usage=entry.usage,
                saved_nanousd=entry.cost_nanousd,
            )
        )
        self._telemetry.decided(choice.policy, choice.tier(entry.model), "cached")
        page.decided(draft, "cached")
        page.passing.used_tokens = 0
        decision = replace(
            draft,
            model=entry.model,
            tier=choice.tier(entry.model),
            score=entry.score,
            stop_reason="cached",
            spent=Spent(),
            dropped=self._dropped(request, choice, entry.model),
        )
        return Completion(decision=decision, body=entry.json(), usage=entry.usage)


def _limit(request: ChatRequest, caller: Caller) -> tuple[int | None, tuple[str, ...]]:
    """What all calls together may cost, and what of the client's wish the key does not allow."""
    wished, allowed = request.wishes.max_cost_nanousd, caller.max_cost_nanousd
    if wished is None or allowed is None:
        return (allowed if wished is None else wished), ()
    return min(wished, allowed), (f"max_cost_usd={usd(allowed)}",) if wished > allowed else ()


def _owner(caller: Caller, choice: Choice) -> str:
    """Whose conversations are alike: those of one tenant with one policy."""
    return f"{caller.tenant_id}\n{choice.policy}"


def _completion(
    outcome: Outcome, answered: Attempt, choice: Choice, page: Page, draft: Decision, *, live: bool
) -> Completion:
    reply = answered.reply
    assert reply is not None  # noqa: S101 (the caller has looked)
    decision = replace(
        draft,
        model=answered.model,
        tier=choice.tier(answered.model),
        score=answered.score,
        threshold=answered.threshold,
        stop_reason=outcome.stop_reason,
        abstention=outcome.abstention,
        verdicts=answered.verdicts,
        spent=page.log.spent,
    )
    return Completion(decision=decision, body=reply.body, usage=reply.usage, live=live)
