"""At which stage a cascade begins, by a query's category: first stages that are hardly ever good at one are not asked.

Knows names of categories and models. Knows no scorer and nothing of how it is found.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from router.errors import StrategyError
from router.fields import Fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """skips : by category the first stages that are not asked for its queries, in their order.

    least : how likely a query's category must be; below, and for queries unlike the scorer's log, every stage is asked.
    """

    skips: Mapping[str, tuple[str, ...]]
    least: float

    def check(self, models: Sequence[str]) -> None:
        """models : of the stages, in calling order. Raises StrategyError naming the field."""
        if not 0 <= self.least <= 1:
            raise StrategyError(f"entry.least: must be between 0 and 1, not {self.least:g}")
        if not self.skips:
            raise StrategyError(
                "entry.skips: must have at least one category; leave entry out where none skips a stage"
            )
        for category, skipped in self.skips.items():
            if not skipped or skipped != tuple(models[: len(skipped)]) or len(skipped) >= len(models):
                raise StrategyError(
                    f"entry.skips[{category!r}]: must be one or more of the first stages in their order, and not all "
                    f"of {', '.join(models)}"
                )

    def skipped(self, category: str | None, p: float) -> tuple[str, ...]:
        """The models that a query is not put to.   category : None where it has none that could be relied on."""
        return self.skips.get(category, ()) if category is not None and p >= self.least else ()

    def place(self, models: Sequence[str], skipped: Sequence[str]) -> int:
        """Where these stages, which may be fewer than the strategy has, are entered."""
        first = next((place for place, model in enumerate(models) if model not in skipped), None)
        return 0 if first is None else first

    def to_document(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"least": self.least, "skips": {name: list(models) for name, models in sorted(self.skips.items())}}

    @classmethod
    def from_document(cls, document: object) -> Self:
        """Raises StrategyError naming the field."""
        fields = Fields(document, "entry.")
        skips = fields.take("skips", dict)
        for name, models in skips.items():
            if not isinstance(models, list) or not all(isinstance(model, str) for model in models):
                raise StrategyError(f"entry.skips[{name!r}]: must be a list of names")
        entry = cls(
            skips={str(name): tuple(models) for name, models in skips.items()}, least=fields.take("least", float)
        )
        fields.done()
        return entry
