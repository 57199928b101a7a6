"""What is written for each thing that happens: dictionaries by column, as both engines take and give them back.

Knows tables' columns and the limits of their types. Knows no statement and no transaction.
"""

import math
from collections.abc import Sequence
from typing import Any

import orjson

from gateway.ledger.billing import Correction, Line, Reservation, Settlement
from gateway.ledger.entry import RequestClosing, RequestRecord
from gateway.ledger.postings import Posting
from router.ids import month_of
from router.pricing import Price

Row = dict[str, Any]


def request_row(record: RequestRecord, writer_id: str) -> Row:
    """Of a request."""
    return {
        "decision_id": record.decision_id,
        "month": month_of(record.decision_id),
        "created_us": int(record.created.timestamp() * 1_000_000),
        "writer_id": writer_id,
        "tenant_id": record.tenant_id,
        "team_id": record.team_id,
        "key_id": record.key_id,
        "policy": clean(record.policy, 256),
        "requested_model": clean(record.requested_model, 256),
        "endpoint": clean(record.endpoint, 256),
        "streamed": record.streamed,
        "strategy_id": clean(record.strategy_id, 256),
        "scorer_version": clean(record.scorer_version, 256),
        "reference_model": clean(record.reference_model, 256),
        "tags": clean(orjson.dumps(dict(record.tags), default=str).decode(), 65_536),
    }


def attempt_row(reservation: Reservation, writer_id: str) -> Row:
    """Of an attempt before it is made."""
    return {
        "attempt_id": reservation.attempt_id,
        "month": month_of(reservation.attempt_id),
        "decision_id": reservation.decision_id,
        "writer_id": writer_id,
        "kind": reservation.kind,
        "stage": reservation.stage,
        "model": clean(reservation.model, 256),
        "deployment": clean(reservation.deployment, 256),
        "cause": reservation.cause,
        "provider": clean(reservation.provider, 256),
        "tenant_id": reservation.tenant_id,
        "team_id": reservation.team_id,
        "key_id": reservation.key_id,
        "policy": clean(reservation.policy, 256),
        "opened_us": reservation.opened_us,
        "reserved_nanousd": reservation.reserved_nanousd,
        "price_version": reservation.price_version,
        "spooled": reservation.spooled,
    }


def settlement_row(settled_us: int, settlement: Settlement) -> Row:
    """Of an attempt's ending."""
    usage = settlement.usage
    return {
        "attempt_id": settlement.attempt_id,
        "month": month_of(settlement.attempt_id),
        "settled_us": settled_us,
        "state": settlement.state,
        "prompt_tokens": None if usage is None else usage.prompt_tokens,
        "cached_prompt_tokens": None if usage is None else usage.cached_prompt_tokens,
        "cache_write_tokens": None if usage is None else usage.cache_write_tokens,
        "completion_tokens": None if usage is None else usage.completion_tokens,
        "reasoning_tokens": None if usage is None else usage.reasoning_tokens,
        "usage_source": settlement.usage_source,
        "amount_nanousd": settlement.amount_nanousd,
        "latency_s": _finite(settlement.latency_s) or 0.0,
        "first_token_s": _finite(settlement.first_token_s),
        "score": _finite(settlement.score),
        "threshold": _finite(settlement.threshold),
        "finish_reason": clean(settlement.finish_reason, 32),
        "error_kind": clean(settlement.error_kind, 32),
        "error_status": settlement.error_status,
        "verdicts": clean(settlement.verdicts, 65_536),
    }


def line_rows(attempt_id: str, seq: int, lines: Sequence[Line], source: str | None) -> list[Row]:
    """Of what an attempt costs, or of what a correction changes in it."""
    return [
        {
            "attempt_id": attempt_id,
            "month": month_of(attempt_id),
            "meter": line.meter,
            "seq": seq,
            "quantity": line.quantity,
            "rate_usd": line.rate_usd,
            "price_version": line.price_version,
            "source": source,
            "amount_nanousd": line.amount_nanousd,
        }
        for line in lines
    ]


def correction_row(corrected_us: int, correction: Correction) -> Row:
    """Of what was found out later."""
    return {
        "attempt_id": correction.attempt_id,
        "month": month_of(correction.attempt_id),
        "seq": correction.seq,
        "corrected_us": corrected_us,
        "event": correction.event,
        "amount_nanousd": correction.amount_nanousd,
        "price_version": correction.price_version,
        "reason": clean(correction.reason, 1024),
    }


def closing_row(closed_us: int, closing: RequestClosing) -> Row:
    """Of a request's ending."""
    return {
        "decision_id": closing.decision_id,
        "month": month_of(closing.decision_id),
        "closed_us": closed_us,
        "status": closing.status,
        "stop_reason": clean(closing.stop_reason, 32),
        "abstention": clean(closing.abstention, 32),
        "answered_attempt": closing.answered_attempt,
        "answered_model": clean(closing.answered_model, 256),
        "cache_status": closing.cache_status,
        "saved_nanousd": closing.saved_nanousd,
        "reference_nanousd": closing.reference_nanousd,
        "reference_source": closing.reference_source,
        "steps": orjson.dumps([step.to_document() for step in closing.steps]).decode() if closing.steps else None,
    }


def entry_row(posting: Posting) -> Row:
    """Of a double entry."""
    return {
        "subject_id": posting.subject_id,
        "month": month_of(posting.subject_id),
        "event": posting.event,
        "seq": posting.seq,
        "posted_us": posting.posted_us,
        "debit": posting.debit,
        "credit": posting.credit,
        "amount_nanousd": posting.amount_nanousd,
        "tenant_id": posting.tenant_id,
        "provider": clean(posting.provider, 256),
    }


def price_row(price: Price, seen_us: int) -> Row:
    """Of a price that amounts refer to by its version."""
    return {
        "price_version": price.version,
        "model": clean(price.model, 256),
        "content": orjson.dumps(price.as_json()).decode(),
        "seen_us": seen_us,
    }


def clean(value: str | None, most: int) -> str | None:
    """As both engines take it: no NUL, no half surrogate pair, not longer than its column."""
    if value is None:
        return None
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()[:most]


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
