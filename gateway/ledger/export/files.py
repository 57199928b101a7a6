"""Which files the ledger can be exported to, and how one is written: whole or not at all.

Knows what there is to choose from. How rows are read and written is known to the modules beside it.
"""

import os
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gateway.database import Database
from gateway.errors import InvalidRequest
from gateway.ledger.export.columns import Column, Pages
from gateway.ledger.export.formats import CannotExport
from gateway.ledger.export.grains import (
    ATTEMPT_COLUMNS,
    LINE_COLUMNS,
    REQUEST_COLUMNS,
    attempt_pages,
    line_pages,
    request_pages,
)
from gateway.ledger.export.hours import HOUR_COLUMNS, hour_pages
from gateway.ledger.reports import Span

Grain = Literal["requests", "attempts", "line-items", "hours"]


@dataclass(frozen=True, slots=True)
class Content:
    """What stands in a file: its columns, and where its records come from."""

    columns: Sequence[Column]
    pages: Callable[[Database, Span], Pages]


CONTENTS: dict[Grain, Content] = {
    "requests": Content(REQUEST_COLUMNS, request_pages),
    "attempts": Content(ATTEMPT_COLUMNS, attempt_pages),
    "line-items": Content(LINE_COLUMNS, line_pages),
    "hours": Content(HOUR_COLUMNS, hour_pages),
}


def content_of(grain: str) -> Content:
    """Raises InvalidRequest for what there is not."""
    found = next((content for name, content in CONTENTS.items() if name == grain), None)
    if found is None:
        raise InvalidRequest(
            f"{grain!r} cannot be exported; {', '.join(CONTENTS)} can "
            "(what was asked and answered: spillway transcripts export)",
            param="grain",
            code="invalid_parameter",
        )
    return found


async def write_file(path: Path, parts: AsyncIterator[bytes]) -> None:
    """In place of what was there before, once it is whole. Raises CannotExport where it cannot be written."""
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        with beside.open("xb") as file:
            async for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise CannotExport(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        beside.unlink(missing_ok=True)
