"""What must not pass unnoticed in the ledger: counted for metrics, and said in the log.

Knows words and numbers only.
"""

import logging
from dataclasses import dataclass

_log = logging.getLogger("spillway.ledger")


@dataclass(slots=True, kw_only=True)
class LedgerCounts:
    """What the ledger has seen since its start; for metrics. An alarm belongs on every one of the first six."""

    unknown_prices: int = 0  # attempts settled without an amount
    over_reservation: int = 0  # settlements above their reserved bound
    orphans: int = 0  # attempts of dead processes, settled at a flagged estimate
    unwritable: int = 0  # rows that the database refused for good; the sweeper settles their attempts
    refused: int = 0  # requests and attempts turned away at the bound, or for want of a database
    left_behind: int = 0  # rows that a stop could not write; the sweeper of the next start settles their attempts
    spooled: int = 0  # attempts written to the spool, for the database was away
    retries: int = 0  # commits made again
    commits: int = 0
    opened: int = 0
    settled: int = 0


class Alarms:
    """Counts, and warns ever more rarely where the same cause would fill the log."""

    def __init__(self) -> None:
        self.counts = LedgerCounts()
        self._told: set[tuple[str, bool]] = set()

    def unknown_price(self, model: str, *, priced: bool = False) -> None:
        """An attempt was settled without an amount. priced : a price is known, but neither counts nor a bound."""
        self.counts.unknown_prices += 1
        if (model, priced) in self._told:
            return
        self._told.add((model, priced))
        if priced:
            said = "%s did not tell what it counted, and no bound holds: the cost is unknown; give it max_output_tokens"
        else:
            said = (
                "%s has no price in force, or none for how it was served: the cost is recorded as unknown; add a price"
            )
        _log.warning(said, model)

    def over_reservation(self, attempt_id: str, model: str, amount: int, reserved: int) -> None:
        """An attempt cost more than could be proven before."""
        self.counts.over_reservation += 1
        if _is_landmark(self.counts.over_reservation):
            _log.warning("%s (%s) cost %d nano-USD, over its bound of %d", attempt_id, model, amount, reserved)

    def orphan(self, attempt_id: str, model: str, amount: int | None) -> None:
        """An attempt of a dead process was settled at an estimate."""
        self.counts.orphans += 1
        _log.warning("%s (%s) was never settled by its process; estimated at %s nano-USD", attempt_id, model, amount)

    def unwritable(self, what: str, reason: str) -> None:
        """The database refuses a row for good."""
        self.counts.unwritable += 1
        _log.error("%s cannot be written: %s", what, reason)

    def left_behind(self, rows: int) -> None:
        """A stop ran out of time."""
        self.counts.left_behind += rows
        _log.critical("%d ledger rows could not be written before the stop; the next start estimates them", rows)

    def retry(self, reason: str) -> None:
        """A commit failed and is made again."""
        self.counts.retries += 1
        if _is_landmark(self.counts.retries):
            _log.warning("commit %d of the ledger has to be repeated: %s", self.counts.retries, reason)

    def partitions(self, reason: str) -> None:
        """A month has no partition of its own; its rows go to the default one, and nothing is lost."""
        _log.warning("partitions of the ledger could not be made: %s", reason)

    def unforeseen(self, where: str) -> None:
        """Something failed that nobody thought of; call it while handling the error."""
        _log.exception("%s failed in an unforeseen way", where)


def _is_landmark(count: int) -> bool:
    """Whether it is 1, 2, 4, 8, …"""
    return count & (count - 1) == 0
