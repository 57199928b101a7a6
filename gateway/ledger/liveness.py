"""Which process this is, and whether another one that wrote to the ledger can still be alive.

Knows Linux's /proc; elsewhere a process is recognised only by no longer renewing its row.
"""

import os
import platform
import uuid
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A process: ``process`` (id and start time) is unique within ``place`` (host, boot, namespace of process ids)."""

    place: str
    process: str

    @classmethod
    def of_this_process(cls) -> "Identity":
        """Who we are."""
        place, started = _place(), _started(os.getpid())
        if place is None or started is None:
            return cls(place=f"{platform.node()}/{uuid.uuid4().hex}", process=str(os.getpid()))
        return cls(place=place, process=f"{os.getpid()}/{started}")

    def can_tell(self, other: "Identity") -> bool:
        """Whether the other process could be seen from here."""
        return self.place == other.place

    def sees_alive(self, other: "Identity") -> bool:
        """Whether the other process runs. Only where ``can_tell``."""
        pid, _, started = other.process.partition("/")
        return pid.isdecimal() and _started(int(pid)) == started


def _place() -> str | None:
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        namespace = (_PROC / "self/ns/pid").readlink()
    except OSError:
        return None
    return f"{platform.node()}/{boot}/{namespace}"


def _started(pid: int) -> str | None:
    """Clock ticks since boot at which a process started; None if it does not run, or is dead and not yet buried."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    state, started = fields[0], fields[19]
    return None if state in ("Z", "X") else started
