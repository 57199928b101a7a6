"""The demo's working folder: what it holds, and that it is ours before anything in it is removed.

Knows file names. Does not know what is written into the files.
"""

import fcntl
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from gateway.demo.errors import FolderTaken

_MARK = ".made-by-spillway-demo"


@dataclass(frozen=True, slots=True)
class WorkingFolder:
    """A folder that a demo may fill. ``lock`` is held as long as the demo lives."""

    path: Path
    lock: IO[str]

    @property
    def config(self) -> Path:
        return self.path / "spillway.yaml"

    @property
    def traffic(self) -> Path:
        return self.path / "traffic.jsonl.gz"

    @property
    def scorer(self) -> Path:
        return self.path / "scorer"

    @property
    def strategy(self) -> Path:
        return self.path / "strategy.json"

    @property
    def database(self) -> Path:
        return self.path / "spillway.db"

    @property
    def prices(self) -> Path:
        return self.path / "prices.yaml"

    @property
    def database_url(self) -> str:
        return f"sqlite+aiosqlite:///{self.database}"

    def log(self, name: str) -> Path:
        """Where a process of this name writes."""
        return self.path / f"{name}.log"


def take(path: Path) -> WorkingFolder:
    """Make the folder, or empty the one that an earlier demo made.

    Raises FolderTaken if it holds something and no demo made it, or if another demo is running in it.
    """
    mark = path / _MARK
    if path.exists() and not mark.is_file() and (not path.is_dir() or any(path.iterdir())):
        raise FolderTaken(f"{path} exists and was not made by a demo; name another with --directory, or remove it")
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = mark.open("a", encoding="utf-8")
    except OSError as error:
        raise FolderTaken(f"{path} cannot be written: {error.strerror}; name another with --directory") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise FolderTaken(f"another demo is running in {path}; stop it, or name another with --directory") from error
    folder = WorkingFolder(path.resolve(), lock)
    _empty(folder)
    return folder


def _empty(folder: WorkingFolder) -> None:
    """Remove what demos write, and nothing that somebody else may have put beside it."""
    written = [folder.config, folder.prices, folder.traffic, folder.strategy]
    for file in [*written, *folder.path.glob(f"{folder.database.name}*"), *folder.path.glob("*.log")]:
        file.unlink(missing_ok=True)
    shutil.rmtree(folder.scorer, ignore_errors=True)
