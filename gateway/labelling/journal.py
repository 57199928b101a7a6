"""The file in which every question to a judge stands before it is asked, and what came of it after.

So that nothing is paid for twice: what was answered is read back, and what was asked but never heard of again (the
process died) is known as such. Appended to and forced to disk line by line; held by one process at a time.
"""

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import orjson

from gateway.errors import GatewayError

State = Literal["begun", "answered", "unpaid", "lost"]
"""begun: about to be asked.   answered: graded, or unsure.   unpaid: it failed, and nobody bills for that.
lost: it failed, or the process died, and it may have been billed all the same."""


class JournalUnreadable(GatewayError):
    """The journal cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What is known of one question. grades : None where the judge said nothing clear.   nanousd : None: unknown."""

    state: State
    grades: tuple[float, float] | None = None
    nanousd: int | None = None


class Journal:
    """By the key of a question, its last state. Use in a ``with``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.calls: dict[str, Call] = {}
        self.nanousd = 0  # of all calls in all runs, as far as it is known

    def __enter__(self) -> Self:
        try:
            self._file = self._path.open("a+b")
        except OSError as error:
            raise JournalUnreadable(f"{self._path}: {error.strerror or error}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise JournalUnreadable(f"{self._path}: another process is labelling with it") from error
        self._read()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def note(self, key: str, call: Call) -> None:
        """Return once it is on disk."""
        row = {"call": key, "state": call.state}
        told: dict[str, Any] = {"grades": call.grades, "nanousd": call.nanousd}
        self._append(orjson.dumps(row | {name: value for name, value in told.items() if value is not None}))
        self.calls[key] = call
        self.nanousd += call.nanousd or 0

    def _append(self, line: bytes) -> None:
        self._file.write(line + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def _read(self) -> None:
        self._file.seek(0)
        content = self._file.read()
        for line in content.splitlines():
            try:
                row = orjson.loads(line)
                key, state, grades = row["call"], row["state"], row.get("grades")
            except (orjson.JSONDecodeError, TypeError, KeyError, AttributeError):
                continue  # cut off as the process died: what it was about to say is not known
            given = None if grades is None else (float(grades[0]), float(grades[1]))
            self.calls[key] = Call(state=state, grades=given, nanousd=row.get("nanousd"))
            self.nanousd += row.get("nanousd") or 0
        self.calls = {
            key: Call(state="lost", nanousd=call.nanousd) if call.state == "begun" else call
            for key, call in self.calls.items()
        }
        if content and not content.endswith(b"\n"):
            self._append(b"")
