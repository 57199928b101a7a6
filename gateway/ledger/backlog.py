"""What is waiting to be committed: four queues, taken from together and given back together.

Knows queues and counts. Knows no database.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.ledger.billing import Reservation, Settlement
from gateway.ledger.entry import RequestClosing, RequestRecord
from gateway.ledger.group import Group
from gateway.ledger.lanes import Lane

MOST_PER_GROUP = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An opening and who waits for its commit."""

    reservation: Reservation
    committed: asyncio.Future[None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What was taken to be committed together."""

    requests: Sequence[RequestRecord]
    openings: Sequence[Waiting]
    settlements: Sequence[tuple[int, Settlement]]
    closings: Sequence[tuple[int, RequestClosing]]
    group: Group


class Backlog:
    """First in, first out, each kind in a lane of its own."""

    def __init__(self) -> None:
        self.requests: Lane[RequestRecord] = Lane()
        self.openings: Lane[Waiting] = Lane()
        self.settlements: Lane[tuple[int, Settlement]] = Lane()
        self.closings: Lane[tuple[int, RequestClosing]] = Lane()

    @property
    def lanes(self) -> tuple[Lane[Any], ...]:
        """All four."""
        return self.requests, self.openings, self.settlements, self.closings

    @property
    def pending(self) -> int:
        """Items put and not yet dealt with, taken ones included."""
        return sum(lane.pending for lane in self.lanes)

    def take(self) -> Taken:
        """Up to a group's size of each kind, without openings that nobody waits for any more."""
        openings = self.take_openings()
        requests = self.requests.take(len(self.requests))
        settlements = self.settlements.take(MOST_PER_GROUP)
        closings = self.closings.take(MOST_PER_GROUP)
        reservations = [waiting.reservation for waiting in openings]
        group = Group(requests=requests, reservations=reservations, settlements=settlements, closings=closings)
        return Taken(requests=requests, openings=openings, settlements=settlements, closings=closings, group=group)

    def take_openings(self) -> list[Waiting]:
        """The next openings that somebody waits for."""
        taken = self.openings.take(MOST_PER_GROUP)
        awaited = [waiting for waiting in taken if not waiting.committed.done()]
        self.openings.finish(len(taken) - len(awaited))
        return awaited

    def give_back(self, taken: Taken) -> None:
        """To the front, to be taken again."""
        self.openings.give_back(taken.openings)
        self.requests.give_back(taken.requests)
        self.settlements.give_back(taken.settlements)
        self.closings.give_back(taken.closings)

    def finish(self, taken: Taken) -> None:
        """It is dealt with."""
        self.openings.finish(len(taken.openings))
        self.requests.finish(len(taken.requests))
        self.settlements.finish(len(taken.settlements))
        self.closings.finish(len(taken.closings))
