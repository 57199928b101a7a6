"""What came of a query: the calls that were made for it, and which of them answers.

Knows counts, scores and times. Knows no price: the ledger puts money to an attempt.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from router.backends.backend import Reply
from router.errors import BackendError
from scorer.answer import Usage

AttemptState = Literal["accepted", "rejected", "failed", "cancelled"]

Cause = Literal[
    "first",  # the stage's first call
    "retry",  # the one before failed, and cannot have been billed
    "hedge",  # the one beside it did not begin to answer for a while
    "fallback",  # no stage of the strategy could answer
]

AttemptKind = Literal[
    "answer",  # for a client
    "proposal",  # one that a mixture's aggregator makes its answer of
    "shadow",  # an answer that nobody gets, to compare with
    "judge",  # a model's opinion of an answer
    "verifier",  # another check of an answer that costs money
    "embedding",  # of the gateway's own, for cache or scorer
    "probe",  # to find out what an endpoint can do
]

StopReason = Literal[
    "accepted",  # a stage before the last reached its threshold
    "released",  # the first stage's stream was let go before it was whole: its beginning reached its own threshold
    "last_stage",  # the last stage answers whatever its score
    "best_seen",  # a plan stopped: of the answers that were paid for, an earlier one is believed in most
    "best_so_far",  # the last stage failed or fell short: the best scored answer that was already paid for
    "scorer_abstained",  # no score could be given: the safe model answers
    "failed_verification",  # a verifier failed every answer that there is; one is returned all the same
    "fallback",  # no stage could be called with success: a model outside the strategy answers
    "budget_exhausted",  # the next stage was not affordable: the best answer that was already paid for
    "failed",  # nobody answers
    "cancelled",  # the client went away
]


Abstention = Literal[
    "unlike_text",  # this and the next five: unlike the training queries
    "unlike_length",
    "unlike_script",
    "tools",
    "images",
    "audio",
    "several_choices",  # in one reply, which no score covers
    "unknown_model",  # whose answers the scorer was not trained on
    "no_scorer",
    "scorer_failed",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one verifier says of one answer. reason : in words; never a part of the answer's text."""

    verifier: str  # its name in the configuration
    kind: str
    verdict: Literal["pass", "fail", "abstain"]
    reason: str = ""
    latency_s: float = 0.0

    def as_json(self) -> dict[str, str | float]:
        """Plain values."""
        return {**asdict(self), "latency_s": round(self.latency_s, 6)}


def failed(verdicts: Sequence[Verdict]) -> bool:
    """Whether a verifier said that an answer will not do."""
    return any(verdict.verdict == "fail" for verdict in verdicts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One call of one model, from its reservation to its end. Exactly one per opening of the log.

    usage : what is known of the counts. None is unknown, to be estimated where the call may be billed; a call that was
        never sent has zeros, which are known.
    score : None where no score was asked for or none could be given.
    """

    id: str
    stage: int  # 0-based place in the strategy; a safe model outside it comes after its last stage
    model: str
    state: AttemptState
    reply: Reply | None
    usage: Usage | None
    score: float | None
    threshold: float | None
    latency_s: float
    first_token_s: float | None = None
    error: BackendError | None = None
    deployment: str | None = None  # which of the model's, where it has several
    cause: Cause = "first"
    heard: str = ""  # of a stream's answer that never became whole
    verdicts: tuple[Verdict, ...] = ()
    released: bool = False  # its score and threshold are those of its beginning

    @property
    def failed_verification(self) -> bool:
        """Whether a verifier said that this answer will not do."""
        return failed(self.verdicts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """How a plan decided, once: what was believed and expected with these models asked.

    beliefs : P(good) by model, of those asked of their answer.   costs_nanousd : expected, of one call.
    gains : the quality that asking is expected to bring, its own price not taken off; only of what may be asked.
    exchange : lambda, the quality that one US dollar must bring.   chosen : whom to ask; None to stop.
    congestion : by model what its cost was multiplied with in weighing, as its engines were loaded; empty: nothing was.
    """

    asked: tuple[str, ...]
    beliefs: Mapping[str, float]
    costs_nanousd: Mapping[str, float]
    gains: Mapping[str, float]
    exchange: float
    chosen: str | None
    congestion: Mapping[str, float] = field(default_factory=dict)

    def to_document(self) -> dict[str, Any]:
        """Plain JSON values, for people: rounded."""
        weighed = {model: round(factor, 6) for model, factor in self.congestion.items()}
        return {
            "asked": list(self.asked),
            "beliefs": {model: round(belief, 6) for model, belief in self.beliefs.items()},
            "expected_cost_usd": {model: round(cost / 1e9, 9) for model, cost in self.costs_nanousd.items()},
            **({"congestion": weighed} if weighed else {}),
            "expected_gain": {model: round(gain, 6) for model, gain in self.gains.items()},
            "lambda_per_usd": self.exchange,
            "chosen": self.chosen,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Entered:
    """At which stage a query entered a cascade, where that goes by categories.

    place : 0-based.   model : that stage's.   category, p : the likeliest, None where the query is unlike the log.
    skipped : the models before it, which were not asked.
    why : where none was skipped: ``unsure`` of the category, ``asks_all`` of it, ``unlike``, or telling it ``failed``.
    """

    place: int
    model: str
    category: str | None
    p: float | None
    skipped: tuple[str, ...] = ()
    why: str = ""

    def to_document(self) -> dict[str, Any]:
        """Plain JSON values, for people."""
        return {
            "entered_at_tier": self.place + 1,
            "model": self.model,
            "category": self.category,
            "probability": self.p,
            "skipped": list(self.skipped),
            "why": self.why or None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a query ended.

    answered : the attempt whose reply the client gets, in ``attempts`` or ``proposals``; its state may be "rejected"
        where it is the best so far.
    steps : how a plan decided, before every call and at its end; empty where there is none.
    proposals : calls for a mixture's proposals, which are not among ``attempts``; one of them may answer in the end.
    entered : where the cascade was entered, None where the strategy has no entry.
    abstention : why the scorer abstained, if it did.
    error : why nobody answers, or why the cascade stopped early: the last call's error, or what the log refused with.
    """

    query_id: str
    strategy_id: str | None
    attempts: tuple[Attempt, ...]
    answered: Attempt | None
    stop_reason: StopReason
    abstention: Abstention | None = None
    error: Exception | None = None
    steps: tuple[Step, ...] = ()
    proposals: tuple[Attempt, ...] = ()
    entered: Entered | None = None

    @property
    def decided(self) -> "tuple[Step | Entered, ...]":
        """What was decided on the way, in order."""
        return self.steps if self.entered is None else (self.entered, *self.steps)

    @property
    def escalations(self) -> tuple[Attempt, ...]:
        """The last call of each stage that did not settle it: another stage was asked after it."""
        later = self.attempts[1:]
        return tuple(one for one, after in zip(self.attempts, later, strict=False) if one.stage != after.stage)
