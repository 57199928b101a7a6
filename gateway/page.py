"""A request's page in the ledger, and what metrics, traces and transcripts hear of it.

Knows who must hear of a call's beginning and end, and of the decision. Decides nothing.
"""

from dataclasses import replace

from gateway.admission import Passing
from gateway.choice import Choice
from gateway.exchange import ChatRequest, Decision
from gateway.ledger.request_log import RequestLog
from gateway.telemetry.metrics import Telemetry
from gateway.telemetry.names import Spans
from gateway.telemetry.tracing import current
from gateway.transcripts.keeper import Transcript
from router.outcome import Attempt
from router.trial import Opening


class Page:
    """router.trial.AttemptLog. model : whose call was opened last.   transcript : None where nothing is kept."""

    def __init__(
        self,
        log: RequestLog,
        choice: Choice,
        telemetry: Telemetry,
        passing: Passing,
        transcript: Transcript | None = None,
    ) -> None:
        self.transcript = transcript
        self._kept: set[str] = set()  # attempts whose answers belong into it
        self.log, self._choice, self._telemetry, self.passing = log, choice, telemetry, passing
        self._trace = current()  # a call may end after the request's own time, somewhere else
        self.model = ""
        self._answering: dict[str, int] = {}  # tiers of answers under way, by attempt

    def asked(self, request: ChatRequest) -> None:
        """What the client wants."""
        if self._trace is not None:
            operation = "embeddings" if request.endpoint.endswith("/embeddings") else "chat"
            self._trace.asked(request.model, operation)

    async def open(self, opening: Opening) -> None:
        """Reserve. Tiers that cannot serve this request were left out, and count nevertheless."""
        if opening.kind == "answer":
            tier = self._answering[opening.attempt_id] = self._choice.tier(opening.model)
            await self.log.open(replace(opening, stage=tier - 1))
            self.model = opening.model
        elif opening.tier_of is not None:
            await self.log.open(replace(opening, stage=self._choice.tier(opening.tier_of) - 1))
        else:
            await self.log.open(opening)
        if opening.kind in ("answer", "shadow", "proposal"):
            self._kept.add(opening.attempt_id)
        if self._trace is not None:
            self._trace.opened(opening)

    def close(self, attempt: Attempt) -> None:
        """Settle, and tell."""
        if attempt.usage is not None:
            counted = attempt.usage.prompt_tokens + attempt.usage.completion_tokens
            self.passing.used_tokens = (self.passing.used_tokens or 0) + counted
        before = self.log.spent.nanousd
        self.log.close(attempt)
        if self.transcript is not None and attempt.id in self._kept:
            self.transcript.answered(attempt)
        self._telemetry.verified(self._choice.policy, attempt.verdicts)
        after = self.log.spent.nanousd
        nanousd = None if before is None or after is None else after - before
        tier = self._answering.pop(attempt.id, None)
        self._telemetry.attempted(attempt, nanousd, tier)
        if attempt.score is not None:
            self._telemetry.scored(self._choice.policy, tier, attempt.score)
        if self._trace is not None:
            self._trace.closed(attempt, nanousd)

    def decided(self, draft: Decision, stop_reason: str, answered: Attempt | None = None) -> None:
        """How the request ended."""
        if self._trace is None:
            return
        spent = self.log.spent.nanousd
        facts: dict[str, str | int | float | None] = {
            Spans.DECISION: draft.id,
            Spans.POLICY: draft.policy,
            Spans.CACHE: draft.cache,
            Spans.STOP_REASON: stop_reason,
            Spans.COST: None if spent is None else spent / 1e9,
        }
        if answered is not None:
            facts |= {
                Spans.RESPONSE_MODEL: answered.model,
                Spans.TIER: self._choice.tier(answered.model),
                Spans.SCORE: answered.score,
                Spans.THRESHOLD: answered.threshold,
            }
        self._trace.decided(facts)
