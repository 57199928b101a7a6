"""From logged queries to a table of analysed answers.

Knows logs and features. Knows no label.
"""

from collections.abc import Callable, Iterator, Sequence

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


def _analysed(
    queries: Sequence[LoggedQuery], models: frozenset[str], progress: Callable[[str, int, int], None]
) -> Iterator[tuple[QueryReading, list[Analysis]]]:
    for done, logged in enumerate(queries):
        if done % _EVERY == 0:
            progress("reading answers", done, len(queries))
        query = read_query(logged.query)
        yield query, [analyse(query, entry.answer) for model, entry in logged.answers.items() if model in models]
    progress("reading answers", len(queries), len(queries))
