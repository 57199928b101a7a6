"""One query at the door of a cascade: its category, and so the stage that it enters at.

Knows strategies and what tells categories. Calls no model.
"""

import logging
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Protocol, runtime_checkable

from router.outcome import Entered
from router.strategy import Stage, Strategy
from scorer.answer import Query
from scorer.categories import Category

_telemetry = logging.getLogger(__name__)


@runtime_checkable
class Categoriser(Protocol):
    """What a strategy with an entry needs of a scorer."""

    @property
    def categories(self) -> tuple[str, ...]:
        """The names of the categories that it tells apart."""
        ...

    def categorise(self, query: Query) -> Category | None:
        """The query's likeliest category; None of one unlike those that it knows. Raises ScorerError."""
        ...


def enter(strategy: Strategy, scorer: object, query: Query) -> Entered | None:
    """Where a query enters, and why; None where the strategy has no entry. Nothing that fails keeps a stage from it."""
    entry = strategy.entry
    if entry is None:
        return None
    try:
        category = scorer.categorise(query) if isinstance(scorer, Categoriser) else None
        why = "unlike" if category is None else ""
    except Exception:  # noqa: BLE001  a scorer's bug must not cost the client its answer
        _telemetry.exception("the scorer told no category of a query")
        category, why = None, "failed"
    name, p = (None, 0.0) if category is None else (category.name, category.p)
    skipped = entry.skipped(name, p)
    place = entry.place(strategy.models, skipped)
    if category is not None and not skipped:
        why = "unsure" if p < entry.least else "asks_all"
    return Entered(
        place=place,
        model=strategy.models[place],
        category=name,
        p=None if category is None else p,
        skipped=strategy.models[:place],
        why=why,
    )


def stages_from(entered: Entered | None, stages: Sequence[Stage]) -> Iterator[tuple[int, Stage]]:
    """The stages that are asked, each with its place in the strategy."""
    return islice(enumerate(stages), 0 if entered is None else entered.place, None)


def lacks(strategy: Strategy, scorer: object) -> str | None:
    """Why a scorer cannot tell where queries enter, in words; None if it can, or need not."""
    if strategy.entry is None:
        return None
    known = scorer.categories if isinstance(scorer, Categoriser) else ()
    unknown = sorted(set(strategy.entry.skips) - set(known))
    if not known:
        return "tells no categories, by which the strategy is entered; train it with --categories"
    return f"knows no category {', '.join(unknown)}, by which the strategy is entered" if unknown else None
