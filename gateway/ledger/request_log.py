"""One request's page in the ledger: its attempts are opened and closed here, and what they cost is summed.

Knows bounds and prices. Knows no queue and no database: it hands what it made to the writer.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Protocol

from gateway.ledger.alarms import Alarms
from gateway.ledger.billing import Reservation, Settlement, at_bound, reserve, settle
from gateway.ledger.billing_rules import rule_for
from gateway.ledger.bounds import call_bound
from gateway.ledger.counting import Counting
from gateway.ledger.entry import (
    CacheStatus,
    MaxCostExceeded,
    RequestClosing,
    RequestRecord,
    RequestStatus,
    Spent,
    usd,
)
from gateway.ledger.reference import reference_of
from gateway.ledger.tariff import Tariff
from router.outcome import Attempt, Entered, Step
from router.trial import Opening
from scorer.answer import Usage

_log = logging.getLogger("spillway.ledger")


class Intake(Protocol):
    """What a page needs of the writer."""

    async def reserve(self, reservation: Reservation) -> None:
        """Return once it is committed. Raises LedgerUnavailable, or what a budget refuses with."""
        ...

    def settle(self, settlement: Settlement) -> None:
        """Queue it."""
        ...


class RequestLog:
    """What a cascade writes into: router.cascade.AttemptLog for one request. LedgerWriter.log_for makes it.

    most_nanousd : what all calls of the request together may cost.
    """

    def __init__(
        self,
        record: RequestRecord,
        body: Mapping[str, Any],
        tariff: Tariff,
        intake: Intake,
        alarms: Alarms,
        most_nanousd: int | None = None,
    ) -> None:
        self._most_nanousd = most_nanousd
        self._record, self._body, self._bound, self._tariff = record, body, call_bound(body), tariff
        self._intake, self._alarms = intake, alarms
        self._open: dict[str, tuple[Reservation, Mapping[str, Any]]] = {}
        self._opening: dict[str, Reservation] = {}  # several calls may be opened at once, and share one limit
        self._settled: list[tuple[Reservation, Settlement]] = []

    @property
    def spent(self) -> Spent:
        """What the attempts closed so far cost."""
        amounts = [settlement.amount_nanousd for _, settlement in self._settled]
        return Spent(
            nanousd=None if None in amounts else sum(amount for amount in amounts if amount is not None),
            estimated=any(settlement.usage_source == "estimated" for _, settlement in self._settled),
        )

    def has_answer_of(self, model: str) -> bool:
        """Whether a model's answer was paid for here, whoever got it."""
        return any(
            reservation.model == model and reservation.kind == "answer" and settlement.state in ("accepted", "rejected")
            for reservation, settlement in self._settled
        )

    def bound_nanousd(self, model: str) -> int | None:
        """The most that a model's answer to the request can cost now; None where nothing bounds it."""
        return self._tariff.most_nanousd(self._body, self._bound, model)

    async def open(self, opening: Opening) -> None:
        """Return once the attempt and its reservation are committed. Do not call if this raises.

        Raises LedgerUnavailable, MaxCostExceeded, or what a budget refuses with.
        """
        now_us = time.time_ns() // 1000
        price = self._tariff.prices.price(opening.model, datetime.fromtimestamp(now_us / 1_000_000, UTC))
        bound = self._bound if opening.body is None else call_bound(opening.body)
        reservation = Reservation(
            attempt_id=opening.attempt_id,
            decision_id=self._record.decision_id,
            kind=opening.kind,
            stage=opening.stage,
            model=opening.model,
            deployment=opening.deployment,
            cause=opening.cause,
            provider=self._tariff.providers.get(opening.model),
            policy=self._record.policy,
            tenant_id=self._record.tenant_id,
            team_id=self._record.team_id,
            key_id=self._record.key_id,
            opened_us=now_us,
            reserved_nanousd=reserve(self._tariff.bounded(bound, opening.model), price),
            price=price,
            price_version=None if price is None else price.version,
            text_bytes=bound.text_bytes,
        )
        self._must_fit(reservation)
        self._opening[opening.attempt_id] = reservation
        try:
            await self._intake.reserve(reservation)
        finally:
            del self._opening[opening.attempt_id]
        self._open[opening.attempt_id] = reservation, self._body if opening.body is None else opening.body

    def close(self, attempt: Attempt) -> None:
        """Settle an attempt. Never blocks, never raises; closing twice, or what was never opened, changes nothing."""
        opened = self._open.pop(attempt.id, None)
        if opened is None:
            _log.debug("%s is not open: nothing to settle", attempt.id)
            return
        reservation, body = opened
        settlement = self._settle(attempt, reservation, body)
        self._settled.append((reservation, settlement))
        if settlement.amount_nanousd is None:
            unmeasured = reservation.price is not None and settlement.usage is None
            self._alarms.unknown_price(reservation.model, priced=unmeasured)
        elif reservation.reserved_nanousd is not None and settlement.amount_nanousd > reservation.reserved_nanousd:
            self._alarms.over_reservation(
                attempt.id, reservation.model, settlement.amount_nanousd, reservation.reserved_nanousd
            )
        self._intake.settle(settlement)

    def closing(
        self,
        *,
        status: RequestStatus,
        cache_status: CacheStatus,
        stop_reason: str | None = None,
        abstention: str | None = None,
        answered: Attempt | None = None,
        answered_model: str | None = None,
        cached_usage: Usage | None = None,
        saved_nanousd: int | None = None,
        steps: tuple[Step | Entered, ...] = (),
    ) -> RequestClosing:
        """How the request ended, with what the reference model alone would have cost, as far as it can be told.

        cached_usage, saved_nanousd : of the cache entry, where one answered.
        """
        model = self._record.reference_model
        given = None if answered is None else answered.id
        reference_nanousd, source = (
            (None, None) if model is None else reference_of(model, given, cached_usage, self._settled, self._tariff)
        )
        return RequestClosing(
            decision_id=self._record.decision_id,
            status=status,
            cache_status=cache_status,
            stop_reason=stop_reason,
            abstention=abstention,
            answered_attempt=None if answered is None else answered.id,
            answered_model=answered_model if answered is None else answered.model,
            saved_nanousd=saved_nanousd,
            reference_nanousd=reference_nanousd,
            reference_source=source,
            steps=steps,
        )

    def _must_fit(self, reservation: Reservation) -> None:
        if self._most_nanousd is None:
            return
        if reservation.reserved_nanousd is None:
            said = "The cost of a request is limited here, and nothing bounds what this call can cost; set max_tokens."
            raise MaxCostExceeded(said, param="max_tokens")
        others = (*self._opening.values(), *(each for each, _ in self._open.values()))
        most = reservation.reserved_nanousd + sum(each.reserved_nanousd or 0 for each in others)
        for before, settlement in self._settled:
            amount = settlement.amount_nanousd
            most += (before.reserved_nanousd or 0) if amount is None else amount
        if most > self._most_nanousd:
            said = f"A request may cost {usd(self._most_nanousd)} USD here"
            raise MaxCostExceeded(f"{said}, and with the next call it could cost {usd(most)}.")

    def _settle(self, attempt: Attempt, reservation: Reservation, body: Mapping[str, Any]) -> Settlement:
        try:
            tariff = self._tariff
            counting = Counting(body, tariff.tokenizers.get(reservation.model))
            return settle(attempt, reservation, rule_for(reservation.provider, tariff.rules), counting)
        except Exception:  # noqa: BLE001 - whatever an upstream made of its answer, the attempt is written down
            self._alarms.unforeseen(f"settling {attempt.id}")
            ending = Settlement(reservation=reservation, state=attempt.state, amount_nanousd=None)
            return replace(ending, **at_bound(reservation))
