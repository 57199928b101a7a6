"""What an attempt is settled at: priced where its usage is known, else estimated and marked so, else unknown.

Knows usage, prices and endings. Knows no table, no queue and no clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal

import orjson

from gateway.ledger.billing_rules import ANYBODY, BillingRule
from gateway.ledger.bounds import CallBound
from gateway.ledger.counting import Counting
from router.outcome import Attempt, AttemptKind, AttemptState, Cause, Verdict
from router.pricing import Price, price_of, upper_bound_nanousd
from scorer.answer import Usage, UsageSource

BOUND = "bound"
"""The meter of a line that is no count but the reserved upper bound: one piece, at the bound in USD."""

_MOST_TOKENS = 1_000_000_000  # more in one call is a defect of the upstream's, not a usage
_MOST_NANOUSD = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One meter of one call. ``rate_usd`` and ``amount_nanousd`` are None where the price is unknown."""

    meter: str
    quantity: int
    rate_usd: Decimal | None
    price_version: str | None
    amount_nanousd: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """What is known of an attempt before it is made: its row, and the price that it is settled at.

    price : None where it is unknown, or where the attempt was read from its row, which has the version alone.
    spooled : the call is made while the database is away; it can no longer be refused when this is written.
    text_bytes : of the prompt.
    """

    attempt_id: str
    decision_id: str
    tenant_id: str
    model: str
    opened_us: int
    reserved_nanousd: int | None  # None: no bound can be proven
    price: Price | None
    price_version: str | None
    kind: AttemptKind = "answer"
    stage: int = 0
    deployment: str | None = None
    cause: Cause = "first"
    provider: str | None = None
    policy: str | None = None
    team_id: str | None = None
    key_id: str | None = None
    spooled: bool = False
    text_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """How an attempt ended and what it is put down at.

    amount_nanousd : the sum of the lines; None if one of them, or all, are unknown.
    usage_source : None where nothing may be billed.
    if_opened : written only if the attempt's row turns out to exist.
    """

    reservation: Reservation
    state: AttemptState
    amount_nanousd: int | None
    lines: tuple[Line, ...] = ()
    usage: Usage | None = None
    usage_source: UsageSource | None = None
    latency_s: float = 0.0
    first_token_s: float | None = None
    score: float | None = None
    threshold: float | None = None
    finish_reason: str | None = None
    error_kind: str | None = None
    error_status: int | None = None
    verdicts: str | None = None  # JSON
    if_opened: bool = False

    @property
    def attempt_id(self) -> str:
        """Whose ending it is."""
        return self.reservation.attempt_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """What was found out about a settled attempt's cost.

    amount_nanousd : what is added to what the attempt was put down at so far (to nothing, where that was unknown).
    lines : by how much each meter changes.
    seq : 1 for an attempt's first correction.
    """

    reservation: Reservation
    seq: int
    event: Literal["correct", "reprice"]
    amount_nanousd: int
    lines: tuple[Line, ...]
    price_version: str | None
    reason: str
    price: Price | None = None  # of that version, where it is at hand

    @property
    def attempt_id(self) -> str:
        """Whose cost it is."""
        return self.reservation.attempt_id


def reserve(bound: CallBound, price: Price | None) -> int | None:
    """The most that a call can cost, in nano-USD; None where the price or a bound on the counts is unknown."""
    output = bound.output_tokens
    if price is None or output is None or bound.prompt_tokens is None:
        return None
    if bound.priority and "priority_output" not in price.rates:
        return None
    most = upper_bound_nanousd(bound.prompt_tokens, output, bound.choices, price, priority=bound.priority)
    return most if most < _MOST_NANOUSD else None


def settle(
    attempt: Attempt, reservation: Reservation, rule: BillingRule = ANYBODY, counting: Counting | None = None
) -> Settlement:
    """Put an attempt that has ended down at what is known of it, at the price in force when it was opened.

    rule : what its provider bills where the call did not end well.
    counting : of what its upstream did not count; without one, by bounds.
    """
    answer = None if attempt.reply is None else attempt.reply.answer
    ending = Settlement(
        reservation=reservation,
        state=attempt.state,
        amount_nanousd=0,
        latency_s=attempt.latency_s,
        first_token_s=attempt.first_token_s,
        score=attempt.score,
        threshold=attempt.threshold,
        finish_reason=None if answer is None else answer.finish_reason,
        error_kind=None if attempt.error is None else type(attempt.error).__name__,
        error_status=None if attempt.error is None else attempt.error.status,
        verdicts=_told(attempt.verdicts),
    )
    if _is_free(attempt, rule):
        return ending
    usage = _usage(attempt, reservation, rule, counting or Counting({}, None))
    if usage is None:
        return replace(ending, **at_bound(reservation))
    price = reservation.price if reservation.price is not None and reservation.price.covers(usage) else None
    lines = _lines(usage, price)
    amount = None if price is None else _sum(lines)
    return replace(ending, lines=lines, amount_nanousd=amount, usage=usage, usage_source=usage.source)


def at_bound(reservation: Reservation) -> dict[str, Any]:
    """The fields of a settlement that nothing is known for but that it may be billed: its bound, as an estimate."""
    reserved_nanousd = reservation.reserved_nanousd
    if reserved_nanousd is None:
        return {"amount_nanousd": None, "usage_source": "estimated"}
    line = Line(
        meter=BOUND,
        quantity=1,
        rate_usd=Decimal(reserved_nanousd).scaleb(-9),
        price_version=reservation.price_version,
        amount_nanousd=reserved_nanousd,
    )
    return {"amount_nanousd": reserved_nanousd, "usage_source": "estimated", "lines": (line,)}


def never_sent(reservation: Reservation) -> Settlement:
    """For an attempt whose opening was given up: if its row was committed all the same, it cost nothing."""
    return Settlement(
        reservation=reservation, state="cancelled", amount_nanousd=0, error_kind="never_sent", if_opened=True
    )


def reference_cost(usage: Usage, price: Price | None) -> int | None:
    """What another model would have cost on the same counts, in nano-USD; None where its price is unknown."""
    if price is None or not _is_plausible(usage) or not price.covers(usage):
        return None
    return price_of(usage, price).nanousd


def _told(verdicts: Sequence[Verdict]) -> str | None:
    return orjson.dumps([verdict.as_json() for verdict in verdicts]).decode() if verdicts else None


def _is_free(attempt: Attempt, rule: BillingRule) -> bool:
    if attempt.reply is not None:
        return False
    if attempt.usage is not None:
        return attempt.usage.prompt_tokens == attempt.usage.completion_tokens == 0  # never sent
    if attempt.error is None:
        return rule.hung_up == "free"
    if attempt.error.may_be_billed and (attempt.error.status or 0) >= 500:
        return rule.server_error == "free"
    return not attempt.error.may_be_billed or rule.hung_up == "free"


def _usage(attempt: Attempt, reservation: Reservation, rule: BillingRule, counting: Counting) -> Usage | None:
    told = attempt.usage
    if told is None and attempt.reply is not None:
        told = attempt.reply.usage
    if told is not None and _is_plausible(told):
        return told
    if attempt.reply is not None:
        return counting.of_answer(attempt.reply.body, reservation.text_bytes)
    if attempt.heard and rule.hung_up == "estimate" and not (attempt.error and attempt.error.status):
        return counting.of_part(attempt.heard, reservation.text_bytes)
    return None


def _is_plausible(usage: Usage) -> bool:
    counts = (
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.cached_prompt_tokens,
        usage.cache_write_tokens,
        usage.reasoning_tokens,
        usage.audio_prompt_tokens,
        usage.audio_completion_tokens,
        usage.images,
    )
    return all(0 <= count <= _MOST_TOKENS for count in counts)


def _lines(usage: Usage, price: Price | None) -> tuple[Line, ...]:
    if price is None:
        return _counts(usage)
    return tuple(
        Line(
            meter=item.meter,
            quantity=item.quantity,
            rate_usd=item.rate,
            price_version=item.price_version,
            amount_nanousd=item.amount_nanousd,
        )
        for item in price_of(usage, price).lines
    )


def _parts_of_prompt(usage: Usage) -> int:
    return usage.cached_prompt_tokens + usage.cache_write_tokens + usage.audio_prompt_tokens


def _counts(usage: Usage) -> tuple[Line, ...]:
    served = "batch_" if usage.batch else "priority_" if usage.priority else ""
    quantities = {
        f"{served}input": max(0, usage.prompt_tokens - _parts_of_prompt(usage)),
        "priority_cached_input" if usage.priority else "cached_input": usage.cached_prompt_tokens,
        "cache_write": usage.cache_write_tokens,
        f"{served}output": max(0, usage.completion_tokens - usage.reasoning_tokens - usage.audio_completion_tokens),
        "reasoning": usage.reasoning_tokens,
        "audio_input": usage.audio_prompt_tokens,
        "audio_output": usage.audio_completion_tokens,
        "image": usage.images,
    }
    return tuple(
        Line(meter=meter, quantity=quantity, rate_usd=None, price_version=None, amount_nanousd=None)
        for meter, quantity in quantities.items()
        if quantity
    )


def _sum(lines: Sequence[Line]) -> int | None:
    amounts = [line.amount_nanousd for line in lines]
    return None if None in amounts else sum(amount for amount in amounts if amount is not None)
