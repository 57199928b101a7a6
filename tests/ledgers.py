"""Made-up requests, attempts and prices for tests of the ledger."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from gateway.database import Database
from gateway.ledger.entry import RequestRecord, RequestStatus
from gateway.ledger.limits import WriterLimits
from gateway.ledger.liveness import Identity
from gateway.ledger.reservations import Reservations
from gateway.ledger.tariff import Tariff
from gateway.ledger.writer import LedgerWriter
from router.backends.backend import Reply
from router.errors import BackendError
from router.ids import new_id
from router.outcome import Attempt, AttemptState
from router.pricing import Price, PriceBook
from router.trial import Opening
from scorer.answer import Answer, Usage

BODY: Mapping[str, Any] = {"messages": [{"role": "user", "content": "What is 6 x 7?"}], "max_tokens": 100}

SMALL = Price(model="small", rates={"input": Decimal("0.15"), "output": Decimal("0.6")})
LARGE = Price(model="large", rates={"input": Decimal("2.5"), "cached_input": Decimal("1.25"), "output": Decimal(10)})
PRICES = PriceBook([SMALL, LARGE])

QUICK = WriterLimits(linger_s=0.01, heartbeat_s=3600.0, patience_s=5.0, drain_s=5.0)


def a_record(**changes: Any) -> RequestRecord:
    """A request of a tenant's for the default policy."""
    values: dict[str, Any] = {
        "decision_id": new_id("dec"),
        "created": datetime.now(UTC),
        "tenant_id": "acme",
        "key_id": "key_1",
        "policy": "default",
        "requested_model": "auto",
        "endpoint": "/v1/chat/completions",
        "streamed": False,
        "strategy_id": "st_1",
        "scorer_version": "sc_1",
        "reference_model": "large",
        "tags": {"team": "search"},
    }
    return RequestRecord(**{**values, **changes})


def a_reply(model: str = "small", text: str = "42", usage: Usage | None = None) -> Reply:
    """A whole answer."""
    message = {"role": "assistant", "content": text}
    return Reply(
        answer=Answer(model=model, text=text, finish_reason="stop"),
        usage=usage,
        body={"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]},
        latency_s=0.25,
    )


def an_attempt(
    *,
    id: str | None = None,  # noqa: A002 - the field's name
    model: str = "small",
    state: AttemptState = "accepted",
    usage: Usage | None = None,
    replied: bool = True,
    error: BackendError | None = None,
    **changes: Any,
) -> Attempt:
    """A call that has ended."""
    values: dict[str, Any] = {
        "id": id or new_id("att"),
        "stage": 0,
        "model": model,
        "state": state,
        "reply": a_reply(model, usage=usage) if replied else None,
        "usage": usage,
        "score": 0.9,
        "threshold": 0.5,
        "latency_s": 0.25,
        "error": error,
    }
    return Attempt(**{**values, **changes})


def an_opening(attempt: Attempt) -> Opening:
    """The opening that belongs to an attempt."""
    return Opening(attempt_id=attempt.id, stage=attempt.stage, model=attempt.model)


@asynccontextmanager
async def a_ledger(
    database: Database,
    *,
    prices: PriceBook = PRICES,
    limits: WriterLimits = QUICK,
    identity: Identity | None = None,
    reservations: Reservations | None = None,
) -> AsyncGenerator[LedgerWriter]:
    """A writer that runs."""
    tariff = Tariff(prices=prices, output_limits={"large": 4096})
    writer = LedgerWriter(database, tariff, limits=limits, identity=identity, reservations=reservations)
    await writer.start()
    try:
        yield writer
    finally:
        await writer.stop()


async def run_request(
    ledger: LedgerWriter, *attempts: Attempt, record: RequestRecord | None = None, body: Mapping[str, Any] = BODY
) -> RequestRecord:
    """A request from its beginning to its end; the last attempt answers."""
    record = record or a_record()
    await ledger.open_request(record)
    log = ledger.log_for(record, body)
    for attempt in attempts:
        await log.open(an_opening(attempt))
        log.close(attempt)
    answered = attempts[-1] if attempts and attempts[-1].reply is not None else None
    status: RequestStatus = "failed" if answered is None else "answered"
    ledger.close_request(log.closing(status=status, cache_status="MISS", stop_reason="accepted", answered=answered))
    return record
