"""What hosted models cost and can do, by the map that litellm brings along.

Reads the map as the JSON file that it is, since importing litellm takes seconds. Knows no provider's API and no key.
A model that the map does not have, or has for nothing, has no known price.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from router.pricing import Meter, Price

_FILE = "model_prices_and_context_window_backup.json"
_RATES: Mapping[Meter, str] = {
    "input": "input_cost_per_token",
    "output": "output_cost_per_token",
    "cached_input": "cache_read_input_token_cost",
    "cache_write": "cache_creation_input_token_cost",
    "reasoning": "output_cost_per_reasoning_token",
    "audio_input": "input_cost_per_audio_token",
    "audio_output": "output_cost_per_audio_token",
    "batch_input": "input_cost_per_token_batches",
    "batch_output": "output_cost_per_token_batches",
    "priority_input": "input_cost_per_token_priority",
    "priority_cached_input": "cache_read_input_token_cost_priority",
    "priority_output": "output_cost_per_token_priority",
}
_BAND = re.compile(r"^(?P<field>.+_cost_per_token|.+_token_cost)_above_(?P<thousands>\d+)k_tokens$")
_MILLION = Decimal(1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownModel:
    """One chat model of one provider.

    name : with its provider, as a hosted backend takes it, e.g. ``openai/gpt-4o-mini``.
    retires : the day from which the provider may no longer serve it, None if none is announced.
    """

    name: str
    price: Price | None
    context_tokens: int | None
    max_output_tokens: int | None
    retires: date | None


def known_model(name: str) -> KnownModel | None:
    """A model by its provider's and its own name; None if the map does not have it."""
    catalog = _catalog()
    provider, _, bare = name.partition("/")
    entry = catalog.get(name)
    if entry is None and catalog.get(bare, {}).get("litellm_provider") == provider:
        entry = catalog[bare]
    return None if entry is None else _read(name, entry)


def known_price(name: str, region: str = "") -> Price | None:
    """What a model costs, in a region if the map tells it apart; None where that is not known."""
    provider, _, bare = name.partition("/")
    regional = known_model(f"{provider}/{region}/{bare}") if region and bare else None
    if regional is not None and regional.price is not None:
        return replace(regional.price, region=region)
    model = known_model(name)
    return None if model is None else model.price


def first_known(names: Iterable[str], *, today: date) -> KnownModel | None:
    """The first of these models that has a price and is not about to retire (within 60 days)."""
    for name in names:
        model = known_model(name)
        if model is None or model.price is None:
            continue
        if model.retires is None or (model.retires - today).days > 60:
            return model
    return None


def _read(name: str, entry: Mapping[str, Any]) -> KnownModel:
    return KnownModel(
        name=name,
        price=_price(name, entry),
        context_tokens=_count(entry.get("max_input_tokens")),
        max_output_tokens=_count(entry.get("max_output_tokens")),
        retires=_day(entry.get("deprecation_date")),
    )


def _price(name: str, entry: Mapping[str, Any]) -> Price | None:
    rates: dict[Meter, Decimal] = {
        meter: (Decimal(entry[field]) * _MILLION).normalize()
        for meter, field in _RATES.items()
        if _is_rate(entry.get(field))
    }
    if "input" not in rates or "output" not in rates or not any(rates.values()):
        return None
    bands = _bands(entry)
    return Price(
        model=name, rates=rates, bands=bands, source=f"litellm's map: {entry.get('source') or 'no source given'}"
    )


def _bands(entry: Mapping[str, Any]) -> dict[int, dict[Meter, Decimal]]:
    meters = {field: meter for meter, field in _RATES.items()}
    bands: dict[int, dict[Meter, Decimal]] = {}
    for field, value in entry.items():
        found = _BAND.match(field)
        meter = meters.get(found["field"]) if found else None
        if found is not None and meter is not None and _is_rate(value):
            rate = (Decimal(value) * _MILLION).normalize()
            bands.setdefault(int(found["thousands"]) * 1000, {})[meter] = rate
    return bands


def _is_rate(value: object) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool) and value >= 0


def _count(value: object) -> int | None:
    return int(value) if isinstance(value, int | Decimal) and value > 0 else None


def _day(value: object) -> date | None:
    try:
        return date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


@lru_cache(maxsize=1)
def _catalog() -> Mapping[str, Mapping[str, Any]]:
    spec = find_spec("litellm")
    folder = Path(spec.origin).parent if spec is not None and spec.origin else None
    if folder is None or not (folder / _FILE).is_file():
        return {}
    entries: dict[str, Any] = json.loads((folder / _FILE).read_text(encoding="utf-8"), parse_float=Decimal)
    return {name: entry for name, entry in entries.items() if isinstance(entry, dict)}
