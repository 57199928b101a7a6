"""What a public list asks for each configured model: what FOCUS calls the list price.

Knows where lists are found. A list with context bands says nothing here: the rows do not know the prompt's length.
"""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from gateway.config.settings import Settings
from router.backends.hosted_catalog import known_price
from router.pricing import METERS, Price, PriceBook

_STANDS_FOR = {"cached_input": "input", "cache_write": "input", "audio_input": "input"} | dict.fromkeys(
    ("reasoning", "audio_output"), "output"
)


def listed_rates(settings: Settings, path: Path | None) -> Callable[[str, str, datetime], Decimal | None]:
    """Of a price list; without one, of litellm's map for hosted models. Raises PriceError."""
    book = None if path is None else PriceBook.load(path)
    upstream = {model.name: model.upstream_model or model.name for model in settings.models}
    hosted = {model.name for model in settings.models if model.backend == "hosted"}
    known: dict[str, Price | None] = {}

    def price(model: str, at: datetime) -> Price | None:
        if book is not None:
            return book.price(model, at) or book.price(upstream.get(model, model), at)
        if model not in known:
            known[model] = known_price(upstream[model]) if model in hosted else None
        return known[model]

    def rate(model: str, meter: str, at: datetime) -> Decimal | None:
        found = price(model, at)
        if found is None or found.bands or meter not in METERS:
            return None
        rates = {str(name): value for name, value in found.rates.items()}
        return rates.get(meter, rates.get(_STANDS_FOR.get(meter, "")))

    return rate
