"""What logged answers cost, for the writer of a folder. Knows prices and usage."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from router.backends.hosted_catalog import known_price
from router.paid import Pricing, models_paid, paid_nanousd
from router.pricing import Price, PriceBook
from scorer.logline import LoggedAnswer
from scorer.partitioned.writing import Costing


def costing(price: Pricing) -> tuple[Costing, Mapping[str, str]]:
    """A function that prices answers exactly as a replay does, and by model the version of its price.

    The versions are those of the models that were priced so far.
    """
    prices: dict[str, Price | None] = {}
    versions: dict[str, str] = {}

    def cost(logged: LoggedAnswer) -> int | None:
        for model in models_paid(logged):
            if model not in prices:
                found = prices[model] = price(model)
                if found is not None:
                    versions[model] = found.version
        return paid_nanousd(logged, prices.get)

    return cost, versions


def pricing(path: Path | None) -> Pricing:
    """Of a price list; without one, what litellm knows. Raises PriceError."""
    return known_price if path is None else PriceBook.load(path).price


def book(path: Path | None, models: Iterable[str]) -> PriceBook:
    """The same for these models, as a book."""
    if path is not None:
        return PriceBook.load(path)
    return PriceBook(price for price in map(known_price, models) if price is not None)
