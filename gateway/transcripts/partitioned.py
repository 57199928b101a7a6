"""Transcripts as a folder of Parquet: a row each answer that was paid for, with what it cost and how it was labelled.

Knows the log's lines and the layout. Knows no table.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import orjson

from gateway.transcripts.log import Line
from scorer.logline import LoggedQuery, parse_line
from scorer.partitioned.layout import Manifest
from scorer.partitioned.writing import writing


async def write_partitioned(out: Path, pages: AsyncIterator[Sequence[Line]], *, shards: int) -> Manifest:
    """Answers that nobody labelled are in it too, without a quality, for labels that come later.

    Raises FolderUnreadable and MissingExtra.
    """
    with writing(out, shards=shards) as writer:
        async for page in pages:
            for line in page:
                writer.add(_query(line), {model: paid(told) for model, told in line["answers"].items()})
    return writer.manifest


def paid(told: Line) -> int | None:
    """What the ledger has for an answer, its own call and every proposal; None where an amount is unknown.

    >>> paid({"cost_nanousd": 5, "proposals": [{"cost_nanousd": 2}, {"cost_nanousd": 1}]}), paid({"cost_nanousd": None})
    (8, None)
    """
    amounts = [told["cost_nanousd"], *(proposal["cost_nanousd"] for proposal in told.get("proposals", ()))]
    return None if None in amounts else sum(amounts)


def _query(line: Line) -> LoggedQuery:
    """A line whose answers may have no quality."""
    labelled = {model for model, told in line["answers"].items() if "quality" in told}
    answers = {model: {"quality": 0, **told} for model, told in line["answers"].items()}
    query = parse_line(orjson.dumps({**line, "answers": answers}), str(line["query_id"]), 1)
    return replace(query, labels={model: label for model, label in query.labels.items() if model in labelled})
