"""From logged queries to a table of analysed answers.

Knows logs and features. Knows no label.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from scorer.beginnings import beginning
from scorer.dataset import LoggedQuery
from scorer.features.analysis import Analysis, analyse
from scorer.features.query import QueryReading, read_query
from scorer.features.table import AnswerTable, tabulate

_EVERY = 32  # queries between two reports of progress


def table_of(
    queries: Sequence[LoggedQuery],
    models: Sequence[str],
    progress: Callable[[str, int, int], None] = lambda doing, done, total: None,
) -> AnswerTable:
    """Analyse every answer of every query; answers of models that are not asked for are left out."""
    return tabulate(_analysed(queries, frozenset(models), progress), models, len(queries))


def beginnings_of(
    queries: Sequence[LoggedQuery], models: Sequence[str], length: int, *, only: str | None = None
) -> AnswerTable:
    """The table of what answers began with; those that were no longer than that are not in it.

    only : a model; the others' answers are left out.
    """
    begun = []
    for query in queries:
        answers = {
            model: replace(entry, answer=part)
            for model, entry in query.answers.items()
            if only in (None, model) and (part := beginning(entry.answer, length)) is not None
        }
        begun.append(replace(query, answers=answers))
    return table_of(begun, models)


def _analysed(
    queries: Sequence[LoggedQuery], models: frozenset[str], progress: Callable[[str, int, int], None]
) -> Iterator[tuple[QueryReading, list[Analysis]]]:
    for done, logged in enumerate(queries):
        if done % _EVERY == 0:
            progress("reading answers", done, len(queries))
        query = read_query(logged.query)
        yield query, [analyse(query, entry.answer) for model, entry in logged.answers.items() if model in models]
    progress("reading answers", len(queries), len(queries))
