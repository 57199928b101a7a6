"""Things that are committed together, and the rows that they make.

Knows the order that satisfies the rows' references. Knows no statement.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.ledger.billing import Correction, Reservation, Settlement
from gateway.ledger.entry import RequestClosing, RequestRecord
from gateway.ledger.postings import Posting, of_correction, of_opening, of_settlement
from gateway.ledger.reservations import Movement
from gateway.ledger.rows import (
    Row,
    attempt_row,
    closing_row,
    correction_row,
    entry_row,
    line_rows,
    request_row,
    settlement_row,
)
from gateway.ledger.tables import (
    attempts,
    checkpoints,
    closings,
    corrections,
    entries,
    kept_days,
    line_items,
    requests,
    settlements,
)
from router.pricing import Price


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrub:
    """Rows from which details go.   left : as they are afterwards.   columns : the ones that are emptied."""

    table: Table
    left: Sequence[Row]
    columns: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Rows to be committed together. Endings come with the microsecond at which each was.

    checkpoints, kept_days, scrubs : what retention writes.   also : what it does first in the same transaction.
    """

    requests: Sequence[RequestRecord] = ()
    reservations: Sequence[Reservation] = ()
    settlements: Sequence[tuple[int, Settlement]] = ()
    corrections: Sequence[tuple[int, Correction]] = ()
    closings: Sequence[tuple[int, RequestClosing]] = ()
    postings: Sequence[Posting] = ()  # that belong to no attempt
    checkpoints: Sequence[Row] = ()
    kept_days: Sequence[Row] = ()
    scrubs: Sequence[Scrub] = ()
    also: Callable[[AsyncConnection], Awaitable[None]] | None = None

    @property
    def name(self) -> str:
        """What is in it, for the log."""
        return ", ".join(
            [
                *(f"request {record.decision_id}" for record in self.requests),
                *(f"attempt {reservation.attempt_id}" for reservation in self.reservations),
                *(f"settlement of {settlement.attempt_id}" for _, settlement in self.settlements),
                *(f"correction {item.seq} of {item.attempt_id}" for _, item in self.corrections),
                *(f"closing of {closing.decision_id}" for _, closing in self.closings),
                *(f"posting of {posting.subject_id}" for posting in self.postings),
            ]
        )

    @property
    def movements(self) -> list[Movement]:
        """The money that moves with it."""
        settled = [
            Movement(
                reservation=settlement.reservation,
                event="settle",
                at_us=moment,
                released_nanousd=settlement.reservation.reserved_nanousd or 0,
                charged_nanousd=settlement.amount_nanousd,
            )
            for moment, settlement in self.settlements
        ]
        corrected = [
            Movement(
                reservation=correction.reservation,
                event=correction.event,
                at_us=moment,
                released_nanousd=0,
                charged_nanousd=correction.amount_nanousd,
            )
            for moment, correction in self.corrections
        ]
        return settled + corrected

    @property
    def prices(self) -> dict[str, Price]:
        """Every price that amounts in it refer to, by its version."""
        used = (*(item.price for item in self.reservations), *(item.price for _, item in self.corrections))
        return {price.version: price for price in used if price is not None}

    def singles(self) -> "list[Group]":
        """The same things, each a group of its own."""
        return [
            *(Group(requests=[record]) for record in self.requests),
            *(Group(reservations=[reservation]) for reservation in self.reservations),
            *(Group(settlements=[settlement]) for settlement in self.settlements),
            *(Group(corrections=[correction]) for correction in self.corrections),
            *(Group(closings=[closing]) for closing in self.closings),
            *(Group(postings=[posting]) for posting in self.postings),
        ]

    def rows(self, writer_id: str, without: Collection[str] = ()) -> list[tuple[Table, list[Row]]]:
        """What is to be inserted, in order, ``without`` those attempts that were refused."""
        opened = [item for item in self.reservations if item.attempt_id not in without]
        postings = [
            *(posting for item in opened for posting in of_opening(item)),
            *(posting for item in self.settlements for posting in of_settlement(*item)),
            *(posting for item in self.corrections for posting in of_correction(*item)),
            *self.postings,
        ]
        lines = [
            *(row for _, s in self.settlements for row in line_rows(s.attempt_id, 0, s.lines, s.usage_source)),
            *(row for _, c in self.corrections for row in line_rows(c.attempt_id, c.seq, c.lines, None)),
        ]
        made: list[tuple[Table, list[Row]]] = [
            (requests, [request_row(record, writer_id) for record in self.requests]),
            (attempts, [attempt_row(item, writer_id) for item in opened]),
            (settlements, [settlement_row(*item) for item in self.settlements]),
            (corrections, [correction_row(*item) for item in self.corrections]),
            (line_items, lines),
            (closings, [closing_row(*item) for item in self.closings]),
            (entries, [entry_row(posting) for posting in postings]),
            (checkpoints, [dict(row) for row in self.checkpoints]),
            (kept_days, [dict(row) for row in self.kept_days]),
        ]
        return [(table, rows) for table, rows in made if rows]
