"""Whether the gateway pays: what the reference model would have cost on the same queries, minus everything spent.

Knows which requests can be compared and how sure their sum is. Knows no page and no command line.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from gateway.database import Database
from gateway.ledger.entry import usd
from gateway.ledger.reports import Span
from gateway.ledger.rollups.reading import Sums, coverage
from gateway.ledger.rollups.tables import REQUEST_MEASURES, REQUEST_SQUARES, request_rollups

SOURCES = {
    "observed": "the reference model itself answered in the request",
    "shadow": "the reference model was asked in shadow",
    "modelled": "the reference model's price on the counts of the answer that was given",
}
_Z = 1.959963984540054  # of 95 %, two-sided
_NANO = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Requests whose cost and whose reference cost are both known, added up; squares are in USD²."""

    requests: int = 0
    spent_nanousd: int = 0
    reference_nanousd: int = 0
    spent_squared: float = 0.0
    reference_squared: float = 0.0
    spent_by_reference: float = 0.0
    modelled_nanousd: int = 0  # of what was asked in shadow: what its reference would be taken to cost otherwise
    modelled_squared: float = 0.0
    modelled_by_reference: float = 0.0

    def __add__(self, other: "Compared") -> "Compared":
        return Compared(**{name: getattr(self, name) + getattr(other, name) for name in self.__slots__})

    @property
    def saved_nanousd(self) -> int:
        """What the reference model would have cost more; negative where it would have cost less."""
        return self.reference_nanousd - self.spent_nanousd

    def deviation_usd(self) -> float | None:
        """Standard deviation of the sum of savings, requests being independent draws; None below two of them."""
        return self._deviation(1.0)

    def share_interval(self) -> tuple[float, float] | None:
        """95 % interval of the saved share of the reference cost, by the delta method for a ratio of sums."""
        reference = self.reference_nanousd * _NANO
        if reference <= 0 or (deviation := self._deviation(self.spent_nanousd * _NANO / reference)) is None:
            return None
        share = self.saved_nanousd * _NANO / reference
        return share - _Z * deviation / reference, share + _Z * deviation / reference

    def modelled(self) -> "Share | None":
        """Of what was asked in shadow: modelled costs over observed ones, by the delta method for a ratio of sums."""
        n, reference = self.requests, self.reference_nanousd * _NANO
        if not self.modelled_nanousd or reference <= 0:
            return None
        ratio = self.modelled_nanousd * _NANO / reference
        if n < 2:
            return Share(requests=n, share=ratio)
        squares = self.modelled_squared - 2 * ratio * self.modelled_by_reference + ratio**2 * self.reference_squared
        half = _Z * math.sqrt(max(0.0, squares) * n / (n - 1)) / reference
        return Share(requests=n, share=ratio, interval=(max(0.0, ratio - half), ratio + half))

    def _deviation(self, ratio: float) -> float | None:
        """Of the sum of ``ratio × reference − spent`` over the requests."""
        n = self.requests
        if n < 2:
            return None
        total = ratio * self.reference_nanousd * _NANO - self.spent_nanousd * _NANO
        squares = ratio**2 * self.reference_squared - 2 * ratio * self.spent_by_reference + self.spent_squared
        return math.sqrt(max(0.0, squares - total**2 / n) * n / (n - 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Of so many requests, with a 95 % interval where there are two or more."""

    requests: int
    share: float
    interval: tuple[float, float] | None = None

    def __str__(self) -> str:
        between = "" if self.interval is None else f" (95 %: {self.interval[0]:.0%} to {self.interval[1]:.0%})"
        return f"{self.share:.0%}{between}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Savings:
    """What was saved, and what cannot be said.

    compared : all that could be compared.   by_source : the same, by how the reference cost is known.
    fruitless_nanousd : spent on requests that got no answer; subtracted, with nothing on the other side.
    unlike : requests of known cost without a reference (plain models, or a reference without a price): left out.
    unknown : requests whose own cost is unknown or not settled: left out; ``unknown_nanousd`` is what is known of it.
    """

    compared: Compared
    by_source: dict[str, Compared] = field(default_factory=dict)
    fruitless: int = 0
    fruitless_nanousd: int = 0
    unlike: int = 0
    unlike_nanousd: int = 0
    unknown: int = 0
    unknown_nanousd: int = 0

    @property
    def saved_nanousd(self) -> int:
        """Counterfactual minus everything spent."""
        return self.compared.saved_nanousd - self.fruitless_nanousd

    @property
    def interval_nanousd(self) -> tuple[int, int] | None:
        """95 %: by how much the sum would vary over other requests of the same kind."""
        deviation = self.compared.deviation_usd()
        if deviation is None:
            return None
        half = round(_Z * deviation / _NANO)
        return self.saved_nanousd - half, self.saved_nanousd + half

    def as_json(self) -> dict[str, Any]:
        """Plain values, amounts as integers of nano-USD and as decimal strings of USD."""
        interval, share = self.interval_nanousd, self.compared.share_interval()
        off = self.modelled_over_observed
        return {
            "saved_nanousd": self.saved_nanousd,
            "saved_usd": usd(self.saved_nanousd),
            "interval_95_usd": None if interval is None else [usd(bound) for bound in interval],
            "share_of_reference": self._share(),
            "share_interval_95": None if share is None else list(share),
            "reference_usd": usd(self.compared.reference_nanousd),
            "spent_usd": usd(self.compared.spent_nanousd + self.fruitless_nanousd),
            "requests_compared": self.compared.requests,
            "modelled_over_observed": None if off is None else asdict(off),
            "by_source": {
                name: {
                    "meaning": SOURCES.get(name, name),
                    "requests": part.requests,
                    "reference_usd": usd(part.reference_nanousd),
                    "spent_usd": usd(part.spent_nanousd),
                    "saved_usd": usd(part.saved_nanousd),
                }
                for name, part in sorted(self.by_source.items())
            },
            "not_compared": {
                "unanswered": {"requests": self.fruitless, "spent_usd": usd(self.fruitless_nanousd)},
                "without_reference": {"requests": self.unlike, "spent_usd": usd(self.unlike_nanousd)},
                "cost_unknown": {"requests": self.unknown, "spent_usd": usd(self.unknown_nanousd)},
            },
            "cannot_be_said": self.caveats(),
        }

    @property
    def modelled_over_observed(self) -> Share | None:
        """How far modelled costs are off, where the reference model was asked in shadow."""
        return self.by_source.get("shadow", Compared()).modelled()

    def caveats(self) -> list[str]:
        """What a reader must not take from the number."""
        said = []
        modelled = self.by_source.get("modelled", Compared()).requests
        if modelled:
            said.append(
                f"{modelled} of {self.compared.requests} reference costs are modelled: the reference model might have "
                "written longer or shorter answers. The interval holds for other requests of this kind, not for that."
            )
        if (off := self.modelled_over_observed) is not None:
            said.append(
                f"On {off.requests} requests the reference model was asked in shadow: modelled costs would have come "
                f"to {off} of what it did cost."
            )
        if self.unlike:
            said.append(f"{self.unlike} requests have nothing to compare with: they neither save nor lose here.")
        if self.unknown:
            said.append(f"{self.unknown} requests have a cost that is unknown or not settled yet: they are left out.")
        if not self.compared.requests:
            said.append("Nothing can be compared: give policies a reference model with a price.")
        said.append(
            "Whether the answers were as good as the reference model's is not said here; certificates say that."
        )
        return said

    def _share(self) -> float | None:
        reference = self.compared.reference_nanousd
        return self.saved_nanousd / reference if reference else None


async def read_savings(database: Database, span: Span) -> Savings:
    """Of a stretch of time. Raises DatabaseUnavailable, or DatabaseError where the schema is not there."""
    async with database.read() as connection:
        covered = await coverage(connection, span.since_us, span.until_us)
        sums = Sums(connection, covered, sqlite=database.is_sqlite)
        groups = await sums.of(
            request_rollups,
            ["status", "reference_source", "reference_model"],
            (*REQUEST_MEASURES, *REQUEST_SQUARES),
            [*span.conditions(), *span.tag_conditions()],
            None if span.tag is None else span.tag[0],
        )
    return savings_of(groups.items())


def savings_of(groups: Iterable[tuple[tuple[Any, ...], Mapping[str, int | float]]]) -> Savings:
    """Of sums of requests by status, source of the reference's cost, and reference model."""
    by_source: dict[str, Compared] = {}
    left: dict[str, int] = {}
    for (status, source, model), values in groups:
        compared = Compared(
            requests=int(values["compared"]),
            spent_nanousd=int(values["compared_nanousd"]),
            reference_nanousd=int(values["reference_nanousd"]),
            modelled_nanousd=int(values["modelled_nanousd"]),
            **{name: float(values[name]) for name in REQUEST_SQUARES},
        )
        if compared.requests:
            by_source[source] = by_source.get(source, Compared()) + compared
        spent = int(values["spent_nanousd"] - values["unknown_nanousd"]) - compared.spent_nanousd
        fruitless = model is not None and status in ("failed", "cancelled", "lost")
        name = "fruitless" if fruitless else "unlike"
        for kind, amount in (
            (name, int(values["requests"] - values["unknown"]) - compared.requests),
            (f"{name}_nanousd", spent),
            ("unknown", int(values["unknown"])),
            ("unknown_nanousd", int(values["unknown_nanousd"])),
        ):
            left[kind] = left.get(kind, 0) + amount
    return Savings(compared=sum(by_source.values(), Compared()), by_source=by_source, **left)
