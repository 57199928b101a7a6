"""The ledger's one way in: rows are queued here and committed in groups.

Knows queues, groups and retries. Knows no price, and leaves the SQL to the store.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.database import Database
from gateway.ledger.entry import RequestClosing, RequestRecord
from gateway.ledger.request_log import RequestLog
from router.pricing import PriceBook


@dataclass(slots=True, kw_only=True)
class LedgerCounts:
    """What the ledger has seen since its start; for metrics. Alarms belong on every one of the first five."""

    unknown_prices: int = 0  # attempts settled without an amount
    over_reservation: int = 0  # settlements above their reserved bound
    orphans: int = 0  # attempts of dead processes, settled at a flagged estimate
    unwritable: int = 0  # rows that the database refused for good; the sweeper settles their attempts
    refused: int = 0  # requests and attempts turned away at the bound, or for want of a database
    retries: int = 0  # commits made again
    commits: int = 0
    opened: int = 0
    settled: int = 0


class LedgerWriter:
    """Writes requests, attempts, settlements and closings.

    output_limits : by model, how many tokens an answer can have at most (a documented limit, or the context length).
        Where neither it nor the request bounds an answer, an attempt is opened without a reserved amount.
    """

    def __init__(
        self, database: Database, prices: PriceBook, *, output_limits: Mapping[str, int] | None = None
    ) -> None:
        raise NotImplementedError

    @property
    def counts(self) -> LedgerCounts:
        """Counters since the start."""
        raise NotImplementedError

    @property
    def unsettled(self) -> int:
        """How much is held in memory: requests and attempts not yet wholly on disk."""
        raise NotImplementedError

    async def start(self) -> None:
        """Settle what dead processes left open, then begin writing."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Write everything that is queued, then stop."""
        raise NotImplementedError

    async def flush(self) -> None:
        """Return once everything queued so far is committed."""
        raise NotImplementedError

    async def open_request(self, record: RequestRecord) -> None:
        """Take a request in; it is committed with its first attempt, or soon. Raises LedgerUnavailable at the bound."""
        raise NotImplementedError

    def log_for(self, record: RequestRecord, body: Mapping[str, Any]) -> RequestLog:
        """The log of one request, which a cascade writes its attempts to. ``body`` bounds what a call can cost."""
        raise NotImplementedError

    def close_request(self, closing: RequestClosing) -> None:
        """Note how a request ended. Never blocks, never raises."""
        raise NotImplementedError
