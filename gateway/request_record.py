"""What the ledger is told of a request before it is carried out: whose it is, what decides it, and why so.

Knows requests, callers and choices. Knows no table.
"""

from dataclasses import replace
from datetime import UTC, datetime

from gateway.admission import Passing
from gateway.auth import ANONYMOUS
from gateway.canary import TAG as CANARY_TAG
from gateway.choice import Choice
from gateway.conversations import Hold
from gateway.exchange import ChatRequest
from gateway.keys import Caller
from gateway.ledger.entry import RequestRecord
from gateway.ledger.voids import TAG as CERTIFICATE_TAG
from gateway.shadow import TAG as SHADOW_TAG

STICKY_TAG = "spillway.sticky"


def record_of(
    request: ChatRequest, caller: Caller, choice: Choice, passing: Passing, hold: Hold | None
) -> RequestRecord:
    """hold : where the request's conversation stands, if it has escalated before."""
    held = {} if hold is None else {STICKY_TAG: str(hold.tier)}
    tried = {} if choice.canary is None else {CANARY_TAG: f"{choice.canary:g}"}
    shadow = choice.shadow
    drawn = {} if shadow is None or not shadow.takes(request.query.id) else {SHADOW_TAG: f"{shadow.share:g}"}
    return RequestRecord(
        decision_id=request.query.id,
        created=datetime.now(UTC),
        tenant_id=caller.tenant_id,
        team_id=caller.team_id,
        tags={**request.wishes.tags, **request.wishes.told(), **held, **tried, **drawn, **passing.tags},
        key_id=None if caller is ANONYMOUS else caller.key_id,
        policy=choice.policy,
        requested_model=request.model,
        endpoint=request.endpoint,
        streamed=request.stream,
        strategy_id=choice.strategy.id,
        scorer_version=choice.scorer.version if choice.scorer else None,
        reference_model=choice.strategy.reference_model,
    )


def as_altered(record: RequestRecord, choice: Choice) -> RequestRecord:
    """The record, and in what the strategy is not carried out as it was certified."""
    if choice.certificate is None or not choice.altered:
        return record
    return replace(record, tags={**record.tags, CERTIFICATE_TAG: choice.certificate})
