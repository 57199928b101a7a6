"""What goes into a completion and what comes out of it: a request, the decision about it, the answer.

Knows shapes only. How the one becomes the other is in ``gateway/completion.py``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gateway.ledger.entry import CacheStatus, Spent
from gateway.wishes import NONE, Wishes
from router.outcome import Verdict
from scorer.answer import Query, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class OnceKey:
    """That a request is to be answered once. fingerprint : of everything that it says; equal for repetitions."""

    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """What a client asks for, as a chat completion, whichever dialect it spoke.

    body : without ``model``, ``stream`` and ``stream_options``.
    timeout_s : what the client gives it, if it says so.
    endpoint : the path that was asked.   dropped : hints of the client's that a chat completion cannot express.
    """

    query: Query
    model: str
    body: Mapping[str, Any]
    endpoint: str
    stream: bool = False
    dropped: tuple[str, ...] = ()
    timeout_s: float | None = None
    wishes: Wishes = NONE
    once: OnceKey | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Who answers and why, as far as it is known. None: not known yet, or not applicable.

    tier : 1-based.   spent : all attempts of the request together.
    pressure : how much budgets that run down lowered the thresholds.   rates : what the client is told of its rates.
    certificate : ``holds``, or ``void: `` and why, where the strategy has one.
    clamped : wishes of the client's that its key does not allow in full, as they hold.
    streaming : the policy's mode, of streams.   sticky : the tier that it began at, its conversation having escalated.
    replayed : it was given before, to the same request, and cost nothing now.
    dropped : hints of the client's that the model which answers was not given, since nothing there can express them.
    """

    id: str
    created: datetime
    policy: str | None
    strategy_id: str | None
    cache: CacheStatus
    model: str
    tier: int | None = None
    score: float | None = None
    threshold: float | None = None
    stop_reason: str | None = None
    abstention: str | None = None
    verdicts: tuple[Verdict, ...] = ()
    spent: Spent | None = None
    dropped: tuple[str, ...] = ()
    pressure: float | None = None
    rates: Mapping[str, str] = field(default_factory=dict)
    certificate: str | None = None
    clamped: tuple[str, ...] = ()
    replayed: bool = False
    streaming: str | None = None
    sticky: int | None = None

    @property
    def chat_id(self) -> str:
        """The id of the completion object, by which the decision can be found again."""
        return "chatcmpl-" + self.id.removeprefix("dec_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A whole answer. body : the model's chat.completion object.   live : its chunks have already gone out."""

    decision: Decision
    body: Mapping[str, Any]
    usage: Usage | None
    live: bool = False
