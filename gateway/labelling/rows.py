"""Lines of a log that is to be labelled: read with or without a quality, written with the labels that came.

Knows the lines' fields. Asks nobody.
"""

import gzip
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from gateway.errors import GatewayError
from scorer.dataset import lines
from scorer.logline import SOURCES, LoggedQuery, parse_line

JUDGE = "judge"
Labels = Mapping[str, tuple[float, float]]
"""By model, what the judge said of its answer: shown first, and shown last."""


class CannotLabel(GatewayError):
    """A log cannot be labelled as it is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line. labelled : the models whose answers have a label already, of whatever source."""

    raw: Mapping[str, Any]
    query: LoggedQuery
    labelled: frozenset[str]

    @property
    def judged(self) -> frozenset[str]:
        """The models whose answers a judge has graded before."""
        return frozenset(m for m, given in self.raw["answers"].items() if JUDGE in (given.get("quality") or {}))


def read_rows(paths: Iterable[Path], *, split: str | None, numbers_are: str | None) -> Iterator[Row]:
    """The lines with answers, of a split or all. numbers_are : the source of qualities that are bare numbers.

    Raises BadLogLine, LogUnreadable, CannotLabel.
    """
    if numbers_are is not None and numbers_are not in set(SOURCES) - {JUDGE}:
        raise CannotLabel(f"--numbers-are: must be one of {', '.join(s for s in SOURCES if s != JUDGE)}")
    for path in paths:
        for number, line in lines(path):
            row = _row(line, path, number, numbers_are)
            if row is not None and split in (None, row.query.split):
                yield row


def _row(line: bytes, path: Path, number: int, numbers_are: str | None) -> Row | None:
    try:
        raw = orjson.loads(line)
    except orjson.JSONDecodeError:
        raw = None
    answers = raw.get("answers") if isinstance(raw, dict) else None
    if not isinstance(answers, dict):
        parse_line(line, str(path), number)  # says what is wrong; a line of labels alone is right, and of no use here
        return None
    given = {model: answer for model, answer in answers.items() if isinstance(answer, dict)}
    labelled = {model for model, answer in given.items() if answer.get("quality") is not None}
    for model in labelled:
        if isinstance(given[model]["quality"], int | float):
            if numbers_are is None:
                said = f"answers.{model}.quality is a number of no named source; name it with --numbers-are check, say"
                raise CannotLabel(f"{path}, line {number}: {said}")
            given[model]["quality"] = {numbers_are: given[model]["quality"]}
    checked = deepcopy(raw)
    for model in given.keys() - labelled:
        checked["answers"][model]["quality"] = 0.0
    return Row(raw=raw, query=parse_line(orjson.dumps(checked), str(path), number), labelled=frozenset(labelled))


def with_labels(row: Row, labels: Labels) -> dict[str, Any] | None:
    """The line with the labels that came; without the answers that have none, and None where none has."""
    answers = {}
    for model, answer in row.raw["answers"].items():
        quality = dict(answer.get("quality") or {})
        if model in labels:
            quality[JUDGE] = list(labels[model])
        if quality:
            answers[model] = {**answer, "quality": quality}
    return {**row.raw, "answers": answers} if answers else None


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> int:
    """Put the file in place whole, gzipped if its name ends in ``.gz``; how many lines."""
    written = [orjson.dumps(row) + b"\n" for row in rows]
    data = b"".join(written)
    beside = path.with_name(f".{path.name}.part")
    beside.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    beside.replace(path)
    return len(written)
