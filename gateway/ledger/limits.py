"""How much the ledger's writer holds in memory, and how long it waits for what.

Knows numbers only.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterLimits:
    """How long and how much the writer holds things in memory."""

    most_held: int = 20_000  # rows not yet on disk; beyond it no new request is taken in
    patience_s: float = 5.0  # an opening that is not committed by then is refused
    linger_s: float = 0.1  # settlements and closings wait so long for company
    heartbeat_s: float = 5.0  # between signs of life and looks for dead processes
    lease_s: float = 60.0  # a process on another host that gave no sign of life for so long is dead
    drain_s: float = 15.0  # a stop waits so long for the database
    answer_s: float = 2.0  # with a spool: a database that is silent for longer is away
    hiccup_s: float = 1.0  # a database that is away for longer is told to those who ask how the ledger is
