"""What a configuration consists of on disk: its file, and every file that it names, by content.

Knows which settings name files. Reads them and understands none.
"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from gateway.config.check import load_settings
from gateway.config.settings import Settings
from gateway.errors import ConfigError

_Sign = tuple[int, int, int]  # of a file that was not touched since: inode, time, size


def files_of(settings: Settings) -> Iterator[Path]:
    """The files that a configuration names, there or not; of a folder those in it."""
    named = [settings.prices]
    for model in settings.models:
        named += model.log
        if model.tokenizer is not None and model.tokenizer.endswith(".json"):
            named.append(Path(model.tokenizer))
    for policy in settings.policies:
        named += [policy.strategy, policy.scorer, None if policy.canary is None else policy.canary.strategy]
        named += [verifier.schema_file for verifier in policy.verifiers]
    for path in (settings.locate(path) for path in named if path is not None):
        if path.is_dir():
            yield from sorted(inner for inner in path.rglob("*") if inner.is_file())
        else:
            yield path


class Contents:
    """Looks at a configuration again and again; what was not touched in between is not read again.

    path : the configuration's file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[Path, tuple[_Sign, str]] = {}
        self._named: tuple[str, Settings | None] = ("", None)  # what the file named, by the file's own digest

    def look(self) -> str:
        """What tells these contents from any others. A file that is missing or unreadable is a content, too."""
        own = self._digest(self._path)
        if own != self._named[0]:
            try:
                named = load_settings(self._path, serving=False)
            except ConfigError:
                named = None  # it names nothing that could be looked for
            self._named = (own, named)
        settings = self._named[1]
        return own if settings is None else f"{own} {self.files(settings)}"

    def files(self, settings: Settings) -> str:
        """The same of the files that a configuration names, without its own."""
        told = hashlib.sha256()
        for path in files_of(settings):
            told.update(f"{path.name} {self._digest(path)}\n".encode())
        return told.hexdigest()

    def _digest(self, path: Path) -> str:
        try:
            with path.open("rb") as file:
                found = os.fstat(file.fileno())
                sign = (found.st_ino, found.st_mtime_ns, found.st_size)
                known = self._known.get(path)
                if known is None or known[0] != sign:
                    known = self._known[path] = (sign, hashlib.file_digest(file, "sha256").hexdigest())
                return known[1]
        except OSError:
            return "missing"
