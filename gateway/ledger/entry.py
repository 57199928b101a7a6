"""What callers tell the ledger, and how the ledger refuses.

Knows the shapes only: no table, no price, no queue.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from gateway.errors import InvalidRequest, Unavailable
from router.outcome import Entered, Step

RequestStatus = Literal["answered", "failed", "cancelled", "cached", "lost"]
CacheStatus = Literal["HIT", "MISS", "DISABLED"]
ReferenceSource = Literal["observed", "modelled"]


class LedgerUnavailable(Unavailable):
    """What is about to be spent cannot be written down, so it is not spent. The client may try again."""

    code = "ledger_unavailable"


class MaxCostExceeded(InvalidRequest):
    """The next call could make the request dearer than its key, or the client itself, allows."""

    code = "max_cost_exceeded"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """One request of a client, as known before anything is called."""

    decision_id: str  # router.ids.new_id("dec"): sorts by time
    created: datetime  # aware
    tenant_id: str  # the organisation
    key_id: str | None  # None: authentication is off
    policy: str | None  # None: a plain model was asked for
    requested_model: str
    endpoint: str  # e.g. /v1/chat/completions
    streamed: bool
    strategy_id: str | None = None
    scorer_version: str | None = None
    reference_model: str | None = None  # what savings are counted against
    team_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestClosing:
    """How a request ended. RequestLog.closing makes one; its attempts have been settled before."""

    decision_id: str
    status: RequestStatus
    cache_status: CacheStatus
    stop_reason: str | None = None
    abstention: str | None = None
    answered_attempt: str | None = None
    answered_model: str | None = None
    saved_nanousd: int | None = None  # a cached answer: what it cost when it was bought
    reference_nanousd: int | None = None  # what the reference model alone would have cost; None: cannot be told
    reference_source: ReferenceSource | None = None
    steps: tuple[Step | Entered, ...] = ()  # what was decided on the way


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What one request has cost so far, all its attempts together.

    nanousd : None where the price of an attempt is unknown, which is not zero.
    estimated : whether a part of it is a flagged estimate.
    """

    nanousd: int | None = 0
    estimated: bool = False

    @property
    def usd(self) -> str | None:
        """As a plain decimal string, e.g. ``0.000042``."""
        return None if self.nanousd is None else usd(self.nanousd)


def usd(nanousd: int) -> str:
    """Nano-USD as a plain decimal string of US dollars: exact, without exponent or needless zeros.

    >>> usd(1_500_000), usd(-1), usd(0)
    ('0.0015', '-0.000000001', '0')
    """
    whole, fraction = divmod(abs(nanousd), 1_000_000_000)
    text = f"{whole}.{fraction:09d}".rstrip("0").rstrip(".")
    return f"-{text}" if nanousd < 0 else text
