"""What else changes together with the ledger, in the same transaction: whoever counts money against limits.

Knows the shapes and the protocol. Knows no budget, no table and no queue.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.ledger.billing import Reservation

MoneyEvent = Literal["settle", "correct", "reprice"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """Money of one attempt that moves, once.

    event : what a sweeper settles is a settlement too.
    released_nanousd : what is no longer reserved; all of it at the settlement, 0 for corrections.
    charged_nanousd : what was spent. More than was reserved where a bound did not hold; negative in some corrections;
        None where the price is unknown.
    """

    reservation: Reservation  # its ``price`` may be None where ``price_version`` is not
    event: MoneyEvent
    at_us: int
    released_nanousd: int
    charged_nanousd: int | None


class Reservations(Protocol):
    """What the ledger needs of those who count money against limits."""

    async def post(
        self, connection: AsyncConnection, openings: Sequence[Reservation], movements: Sequence[Movement]
    ) -> Mapping[str, Exception]:
        """Inside the ledger's transaction: count the movements, then reserve each opening or refuse it.

        Returns why, for the attempts that are refused: they are not written, and who waits for them gets this
        exception. Among committed transactions each opening and each movement comes once. An opening that is
        ``spooled`` was called already and must be counted. Raises as statements raise: nothing is written then.
        """
        ...

    def may_spool(self, reservation: Reservation) -> bool:
        """Whether this call may be made while the database is away. Does no I/O."""
        ...


class NoLimits:
    """Nobody counts: everything may be spent."""

    async def post(
        self, _connection: AsyncConnection, _openings: Sequence[Reservation], _movements: Sequence[Movement]
    ) -> Mapping[str, Exception]:
        """Refuse nothing."""
        return {}

    def may_spool(self, _reservation: Reservation) -> bool:
        """Yes."""
        return True
