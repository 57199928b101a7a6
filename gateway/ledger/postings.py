"""The double entries of what happens to an attempt: which account pays, which is paid.

Balances are debits minus credits, so that all accounts together stand at zero. A tenant's balance is what it spent and
what is reserved for it, ``reserved`` minus what is reserved, ``provider`` minus what is owed. What the gateway calls on
its own behalf (shadow answers, judges, verifiers, embeddings, probes) is ``overhead`` instead of the tenant's.
Knows accounts and directions. Knows no table.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from gateway.ledger.billing import Correction, Reservation, Settlement

Account = Literal["tenant", "reserved", "provider", "overhead", "gpu_idle"]
Event = Literal["reserve", "release", "charge", "correct", "reprice", "allocate"]

_ON_OWN_BEHALF = frozenset({"shadow", "judge", "verifier", "embedding", "probe"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """One double entry: ``debit`` rises and ``credit`` falls by the amount, which is positive."""

    subject_id: str
    event: Event
    seq: int
    posted_us: int
    debit: Account
    credit: Account
    amount_nanousd: int
    tenant_id: str | None
    provider: str | None


def of_opening(reservation: Reservation) -> Iterator[Posting]:
    """What is set aside before a call."""
    yield from _posting(
        reservation, "reserve", 0, reservation.opened_us, "reserved", reservation.reserved_nanousd, payer_gives=False
    )


def of_settlement(settled_us: int, settlement: Settlement) -> Iterator[Posting]:
    """What was set aside is free again, and what the call costs is owed."""
    reservation = settlement.reservation
    reserved = reservation.reserved_nanousd
    yield from _posting(reservation, "release", 0, settled_us, "reserved", reserved, payer_gives=True)
    yield from _posting(reservation, "charge", 0, settled_us, "provider", settlement.amount_nanousd, payer_gives=False)


def of_correction(corrected_us: int, correction: Correction) -> Iterator[Posting]:
    """What the call costs more, or less, than was thought."""
    amount = correction.amount_nanousd
    yield from _posting(
        correction.reservation,
        correction.event,
        correction.seq,
        corrected_us,
        "provider",
        abs(amount),
        payer_gives=amount < 0,
    )


def of_idle(subject_id: str, seq: int, posted_us: int, amount_nanousd: int, provider: str) -> Posting:
    """Capacity that was paid for and served nobody; negative where more was charged than it cost."""
    by_use = amount_nanousd < 0
    return Posting(
        subject_id=subject_id,
        event="allocate",
        seq=seq,
        posted_us=posted_us,
        debit="provider" if by_use else "gpu_idle",
        credit="gpu_idle" if by_use else "provider",
        amount_nanousd=abs(amount_nanousd),
        tenant_id=None,
        provider=provider,
    )


def _posting(
    reservation: Reservation,
    event: Event,
    seq: int,
    at_us: int,
    other: Account,
    amount: int | None,
    *,
    payer_gives: bool,
) -> Iterator[Posting]:
    if not amount:  # unknown, or nothing
        return
    payer: Account = "overhead" if reservation.kind in _ON_OWN_BEHALF else "tenant"
    yield Posting(
        subject_id=reservation.attempt_id,
        event=event,
        seq=seq,
        posted_us=at_us,
        debit=other if payer_gives else payer,
        credit=payer if payer_gives else other,
        amount_nanousd=amount,
        tenant_id=reservation.tenant_id,
        provider=reservation.provider,
    )
