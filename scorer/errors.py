"""Every way in which scoring can fail, in one tree."""

from typing import Self


class ScorerError(Exception):
    """A score cannot be given. Callers go to the safe model; they never invent a number."""


class BadLogLine(ScorerError):
    """A line of a log is not what the log format says."""

    def __init__(self, path: str, line: int, reason: str) -> None:
        super().__init__(f"{path}, line {line}: {reason}")
        self.path, self.line, self.reason = path, line, reason

    def __reduce__(self) -> tuple[type[Self], tuple[str, int, str]]:
        """It may come from another process."""
        return type(self), (self.path, self.line, self.reason)


class LogUnreadable(ScorerError):
    """A log file is not there, may not be read, or is a damaged gzip."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = path, reason


class TooLittleData(ScorerError):
    """There are too few rows, or rows of one class only, to fit what was asked for."""


class ArtifactError(ScorerError):
    """A scorer artifact is missing, damaged, tampered with or of another format version."""


class UnknownModel(ScorerError):
    """An answer comes from a model that the scorer was not trained on."""


class MixedLabels(ScorerError):
    """Labels of several sources that nobody chose among, or of one that cannot be learned from."""


class FolderUnreadable(ScorerError):
    """A folder of Parquet is not a partitioned log, was never finished, or has changed since it was written."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = path, reason

    def __reduce__(self) -> tuple[type[Self], tuple[str, str]]:
        """It may come from another process."""
        return type(self), (self.path, self.reason)


class MissingExtra(ScorerError):
    """What was asked for needs packages that are not installed."""
