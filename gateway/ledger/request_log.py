"""One request's page in the ledger: its attempts are opened and closed here, and what they cost is summed.

Knows bounds and prices. Knows no queue and no database: it hands finished rows to the writer.
"""


from gateway.ledger.entry import CacheStatus, RequestClosing, RequestStatus, Spent
from router.cascade import Opening
from router.outcome import Attempt
from scorer.answer import Usage


class RequestLog:
    """What a cascade writes into: router.cascade.AttemptLog for one request. LedgerWriter.log_for makes it."""

    @property
    def spent(self) -> Spent:
        """What the attempts closed so far cost."""
        raise NotImplementedError

    async def open(self, opening: Opening) -> None:
        """Return once the attempt and its reservation are committed. Raises LedgerUnavailable: do not call then."""
        raise NotImplementedError

    def close(self, attempt: Attempt) -> None:
        """Settle an attempt. Never blocks, never raises; closing twice, or what was never opened, changes nothing."""
        raise NotImplementedError

    def closing(
        self,
        *,
        status: RequestStatus,
        cache_status: CacheStatus,
        stop_reason: str | None = None,
        answered: Attempt | None = None,
        cached_usage: Usage | None = None,
        saved_nanousd: int | None = None,
    ) -> RequestClosing:
        """How the request ended, with what the reference model alone would have cost, as far as it can be told.

        cached_usage, saved_nanousd : of the cache entry, where one answered.
        """
        raise NotImplementedError
