"""A local file that takes the ledger's rows while the database is away: synced to disk, read back in order.

One file per process, locked for as long as the process lives: a file that can be locked is of a dead one, and whoever
comes next adopts it. A line that a crash cut off was confirmed to nobody, and is left out.
Knows files and lines. Knows no database and no queue.
"""

import fcntl
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

from gateway.errors import GatewayError
from gateway.ledger import faults
from gateway.ledger.group import Group
from gateway.ledger.spool_format import decode, encode

_SUFFIX = ".spool"


class SpoolFull(GatewayError):
    """The spool holds as much as it may."""


class Spool:
    """The spool of one process in a folder that processes of one host share.

    most_bytes : beyond it nothing is taken in.
    """

    def __init__(self, folder: Path, writer_id: str, *, most_bytes: int) -> None:
        self._folder, self._most_bytes = folder, most_bytes
        self._path = folder / f"{writer_id}{_SUFFIX}"
        self._file: int | None = None
        self._size = 0
        self._drained = 0  # of it, in the database already

    @property
    def holds_any(self) -> bool:
        """Whether something waits in it."""
        return self.size > 0

    @property
    def size(self) -> int:
        """What waits in it, in bytes."""
        return self._size - self._drained

    def append(self, group: Group) -> None:
        """Return once it is on disk. Raises SpoolFull, or OSError; then nothing of it counts as written."""
        line = encode(group)
        framed = b"%08x %s\n" % (zlib.crc32(line), line)
        if self._size + len(framed) > self._most_bytes:
            raise SpoolFull(
                f"the spool in {self._folder} holds {self._size} bytes; more than {self._most_bytes} it may not"
            )
        descriptor = self._open()
        try:
            os.pwrite(descriptor, framed, self._size)
            faults.reach("spool-written")
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, self._size)
            raise
        faults.reach("spool-synced")
        self._size += len(framed)

    def slice(self, most_bytes: int) -> tuple[list[Group], int]:
        """What came first of what waits, whole groups of about so many bytes, and where they end. More may be added."""
        if self._file is None or not self.size:
            return [], self._drained
        content = os.pread(self._file, self.size, self._drained)
        end = content.find(b"\n", min(most_bytes, len(content) - 1)) + 1
        return list(_read(content[:end])), self._drained + end

    def drained(self, end: int) -> None:
        """Everything up to there is in the database. A crash before ``clear`` reads it again, which changes nothing."""
        self._drained = end

    def clear(self) -> None:
        """Everything in it is in the database."""
        if self._file is not None:
            os.ftruncate(self._file, 0)
            os.fsync(self._file)
        self._size = self._drained = 0
        faults.reach("spool-removed")

    def close(self) -> None:
        """Give the file up, and remove it if it is empty."""
        if self._file is None:
            return
        if not self.size:
            self._path.unlink(missing_ok=True)
        os.close(self._file)  # and with it the lock
        self._file = None

    def _open(self) -> int:
        if self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            folder = os.open(self._folder, os.O_RDONLY)
            os.fsync(folder)  # so that the file's name outlives a power cut
            os.close(folder)
        return self._file


class Adopted:
    """The spool of a process that died, locked by us."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path, self._descriptor = path, descriptor

    def groups(self) -> list[Group]:
        """What it left."""
        return list(_read(os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0)))

    def remove(self) -> None:
        """Everything in it is in the database."""
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)

    def release(self) -> None:
        """Leave it for another time."""
        os.close(self._descriptor)


def adopt(folder: Path) -> Iterator[Adopted]:
    """The spools of dead processes, oldest first."""
    for path in sorted(folder.glob(f"*{_SUFFIX}")) if folder.is_dir() else ():
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # its process lives
            os.close(descriptor)
            continue
        yield Adopted(path, descriptor)


def _read(content: bytes) -> Iterator[Group]:
    for framed in content.split(b"\n"):
        checksum, _, line = framed.partition(b" ")
        try:
            whole = int(checksum, 16) == zlib.crc32(line)
        except ValueError:
            whole = False
        if not whole:  # cut off by a crash: what comes after it was never confirmed either
            return
        yield decode(line)
