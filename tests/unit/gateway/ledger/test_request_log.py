"""One request's page: what it spent, what it is compared with, and that closing is harmless however often."""

import asyncio
import logging

import pytest

from gateway.ledger.alarms import Alarms
from gateway.ledger.billing import Reservation, Settlement
from gateway.ledger.entry import LedgerUnavailable, MaxCostExceeded, Spent
from gateway.ledger.request_log import RequestLog
from gateway.ledger.tariff import Tariff
from router.errors import BackendTimeout
from scorer.answer import Usage
from tests.ledgers import BODY, PRICES, a_record, an_attempt, an_opening

TOLD = Usage(prompt_tokens=1000, completion_tokens=100)
SMALL_COST, LARGE_COST = 210_000, 3_500_000


class Kept:
    """An intake that only remembers."""

    def __init__(self) -> None:
        self.reserved: list[Reservation] = []
        self.settled: list[Settlement] = []
        self.refuses = False

    async def reserve(self, reservation: Reservation) -> None:
        if self.refuses:
            raise LedgerUnavailable("no")
        self.reserved.append(reservation)

    def settle(self, settlement: Settlement) -> None:
        self.settled.append(settlement)


def a_log(kept: Kept, *, reference: str | None = "large", alarms: Alarms | None = None) -> RequestLog:
    record = a_record(reference_model=reference)
    return RequestLog(record, BODY, Tariff(prices=PRICES), kept, alarms or Alarms())


async def test_a_reservation_carries_the_price_and_the_bound() -> None:
    kept = Kept()
    await a_log(kept).open(an_opening(an_attempt()))
    (reservation,) = kept.reserved
    assert reservation.price is PRICES.price("small")
    assert reservation.reserved_nanousd is not None
    assert reservation.reserved_nanousd >= 100 * 600  # as many tokens as were asked for, at 0.6 USD a million


async def test_spent_is_the_sum_of_all_attempts_rejected_ones_too() -> None:
    kept = Kept()
    log = a_log(kept)
    assert log.spent == Spent(nanousd=0)
    for attempt in (an_attempt(state="rejected", usage=TOLD), an_attempt(model="large", usage=TOLD)):
        await log.open(an_opening(attempt))
        log.close(attempt)
    assert log.spent == Spent(nanousd=SMALL_COST + LARGE_COST)


async def test_spent_is_unknown_where_a_part_of_it_is(caplog: pytest.LogCaptureFixture) -> None:
    kept, alarms = Kept(), Alarms()
    log = a_log(kept, alarms=alarms)
    with caplog.at_level(logging.WARNING, logger="spillway.ledger"):
        for attempt in (an_attempt(usage=TOLD), *(an_attempt(model="dear", usage=TOLD) for _ in range(3))):
            await log.open(an_opening(attempt))
            log.close(attempt)
    assert log.spent.nanousd is None
    assert alarms.counts.unknown_prices == 3
    assert len([record for record in caplog.records if "dear has no price" in record.message]) == 1


async def test_an_estimate_is_marked() -> None:
    kept = Kept()
    log = a_log(kept)
    attempt = an_attempt(state="failed", replied=False, error=BackendTimeout("small", "late"))
    await log.open(an_opening(attempt))
    log.close(attempt)
    assert log.spent == Spent(nanousd=kept.reserved[0].reserved_nanousd, estimated=True)


async def test_closing_again_or_what_was_never_opened_changes_nothing() -> None:
    kept = Kept()
    log = a_log(kept)
    attempt = an_attempt(usage=TOLD)
    await log.open(an_opening(attempt))
    log.close(attempt)
    log.close(attempt)
    log.close(an_attempt(usage=TOLD))
    assert len(kept.settled) == 1
    assert log.spent.nanousd == SMALL_COST


async def test_what_was_refused_cannot_be_closed() -> None:
    kept = Kept()
    kept.refuses = True
    log = a_log(kept)
    attempt = an_attempt(usage=TOLD)
    with pytest.raises(LedgerUnavailable):
        await log.open(an_opening(attempt))
    log.close(attempt)
    assert kept.settled == []


async def test_a_settlement_over_its_bound_is_recorded_and_alarmed() -> None:
    kept, alarms = Kept(), Alarms()
    log = a_log(kept, alarms=alarms)
    attempt = an_attempt(usage=Usage(prompt_tokens=10, completion_tokens=1_000_000))
    await log.open(an_opening(attempt))
    log.close(attempt)
    assert alarms.counts.over_reservation == 1
    assert log.spent.nanousd == 600_001_500


async def test_settling_never_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept()
    log = a_log(kept)
    attempt = an_attempt(usage=TOLD)
    await log.open(an_opening(attempt))

    def broken(*_: object) -> Settlement:
        raise ZeroDivisionError

    monkeypatch.setattr("gateway.ledger.request_log.settle", broken)
    log.close(attempt)
    assert kept.settled[0].amount_nanousd == kept.reserved[0].reserved_nanousd
    assert kept.settled[0].usage_source == "estimated"


async def test_the_reference_is_observed_where_it_answered_and_modelled_where_not() -> None:
    log = a_log(Kept())
    small = an_attempt(state="rejected", usage=TOLD)
    await log.open(an_opening(small))
    log.close(small)
    modelled = log.closing(status="answered", cache_status="MISS", answered=small)
    assert (modelled.reference_nanousd, modelled.reference_source) == (LARGE_COST, "modelled")
    large = an_attempt(model="large", usage=Usage(prompt_tokens=1000, completion_tokens=10))
    await log.open(an_opening(large))
    log.close(large)
    observed = log.closing(status="answered", cache_status="MISS", answered=large)
    assert (observed.reference_nanousd, observed.reference_source) == (2_600_000, "observed")
    assert (observed.answered_attempt, observed.answered_model) == (large.id, "large")


async def test_a_cached_answer_is_compared_on_its_own_counts() -> None:
    closing = a_log(Kept()).closing(
        status="cached", cache_status="HIT", answered_model="small", cached_usage=TOLD, saved_nanousd=SMALL_COST
    )
    assert (closing.reference_nanousd, closing.reference_source) == (LARGE_COST, "modelled")
    assert (closing.answered_model, closing.saved_nanousd) == ("small", SMALL_COST)


@pytest.mark.parametrize("reference", [None, "dear"])
async def test_without_a_reference_or_its_price_nothing_is_claimed(reference: str | None) -> None:
    closing = a_log(Kept(), reference=reference).closing(status="cached", cache_status="HIT", cached_usage=TOLD)
    assert (closing.reference_nanousd, closing.reference_source) == (None, None)


class Slowly(Kept):
    """An intake that takes its time, as a database does."""

    async def reserve(self, reservation: Reservation) -> None:
        await asyncio.sleep(0)
        await super().reserve(reservation)


async def test_calls_that_are_opened_at_once_share_one_limit() -> None:
    kept = Slowly()
    one = a_log(kept).bound_nanousd("small")
    assert one is not None
    log = RequestLog(a_record(), BODY, Tariff(prices=PRICES), kept, Alarms(), 2 * one)
    opened = await asyncio.gather(*(log.open(an_opening(an_attempt())) for _ in range(3)), return_exceptions=True)
    assert [type(each) for each in opened] == [type(None), type(None), MaxCostExceeded]
    assert len(kept.reserved) == 2


async def test_what_the_ledger_refused_takes_none_of_the_limit() -> None:
    kept = Slowly()
    log = RequestLog(a_record(), BODY, Tariff(prices=PRICES), kept, Alarms(), a_log(kept).bound_nanousd("small"))
    kept.refuses = True
    with pytest.raises(LedgerUnavailable):
        await log.open(an_opening(an_attempt()))
    kept.refuses = False
    await log.open(an_opening(an_attempt()))
    assert len(kept.reserved) == 1
