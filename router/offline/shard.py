"""One file's share of the work: a pure function of paths and of what is asked, the same wherever it runs.

Knows files and questions. Knows not what is summed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from router.errors import StrategyError
from router.offline.running import Runner
from router.offline.sums import Sums
from router.offline.wide import Reading
from router.optimize.search import Progress
from scorer.partitioned.layout import Manifest, working_on


class Question(Protocol):
    """What is asked of every file."""

    def sums(self, path: Path, reading: Reading) -> Sums:
        """Of one file."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """A question to one file."""

    path: Path
    question: Question
    reading: Reading


def sums_of(shard: Shard) -> Sums:
    """Answer it. Raises FolderUnreadable."""
    with working_on(shard.path):
        return shard.question.sums(shard.path, shard.reading)


def asked_of(
    folder: Path,
    manifest: Manifest,
    question: Question,
    runner: Runner,
    *,
    split: str | None = None,
    reading: Reading | None = None,
    progress: Progress | None = None,
) -> Sums:
    """Ask every file of a split, and put the sums together. Raises StrategyError if there is none."""
    parts: Sequence[Sums] = runner.run(
        sums_of,
        [
            Shard(
                path=(folder / part.path).absolute(),
                question=question,
                reading=reading or Reading(threads=runner.threads),
            )
            for part in manifest.of_split(split)
        ],
        progress,
    )
    if not parts:
        what = "no queries" if split is None else f"no queries of split {split!r}"
        raise StrategyError(f"{folder}: {what}")
    return Sums.total(parts)
