"""What each configured model costs: as the configuration says, else as its price list says, else as is known of it.

Knows which source comes first. Knows no rate itself; a model that no source prices stays without a price.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from gateway.config.file import Finding
from gateway.config.mixtures import caller_of
from gateway.config.models import providers, servers
from gateway.config.settings import ModelSettings, Settings
from router.backends.hosted_catalog import known_price
from router.errors import PriceError
from router.pricing import Price, PriceBook


def price_book(settings: Settings) -> PriceBook:
    """The prices of all configured models, under their configured names. Raises ConfigError."""
    listed = PriceBook()
    if settings.prices is not None:
        try:
            listed = PriceBook.load(settings.locate(settings.prices))
        except PriceError as error:
            raise settings.refuse(("prices",), str(error)) from error
    found: list[Price] = []
    for n, model in enumerate(settings.models):
        try:
            found.extend(_prices(model, listed))
        except PriceError as error:
            raise settings.refuse(("models", n, "price"), str(error)) from error
    return PriceBook(found)


def _prices(model: ModelSettings, listed: PriceBook) -> Iterable[Price]:
    if model.price is not None:
        return (
            Price.flat(
                model.name,
                input_usd_per_mtok=model.price.input_usd_per_mtok,
                output_usd_per_mtok=model.price.output_usd_per_mtok,
                cached_input_usd_per_mtok=model.price.cached_input_usd_per_mtok,
                source="the configuration",
            ),
        )
    for name in names_in_lists(model):
        for region in dict.fromkeys((model.region, "")):
            named = [price for price in listed if (price.model, price.region) == (name, region)]
            if named:
                return [_here(price, model) for price in named]
    known = known_price(model.upstream_model or model.name, model.region) if model.backend == "hosted" else None
    return () if known is None else (_here(known, model),)


def names_in_lists(model: ModelSettings) -> tuple[str, ...]:
    """Under which names a price list may have a model: its provider's first."""
    own = [name for name in (model.name, caller_of(model), model.upstream_model, model.recorded_model) if name]
    return (*(f"{model.provider}/{name}" for name in own if model.provider), *own)


def gpu_bills(settings: Settings) -> dict[str, int]:
    """By provider, what its self-hosted capacity costs in an hour, in nano-USD.

    Models of a provider that share a server, as an adapter and its base do, run on the same GPUs: their bill is one.
    """
    bills: dict[str, int] = {}
    billed, counted = providers(settings), set[tuple[str, str]]()
    for model in settings.models:
        if model.gpu_usd_per_hour is not None and model.name in billed:
            places = {(billed[model.name], server) for server in servers(model)}
            shared = not places.isdisjoint(counted)
            counted |= places
            if shared:
                continue
            hourly = int((model.gpu_usd_per_hour * 1_000_000_000).to_integral_value())
            bills[billed[model.name]] = bills.get(billed[model.name], 0) + hourly
    return bills


def unlike_bills(settings: Settings) -> Iterator[Finding]:
    """Fields by which one server would have two prices, and why that is wrong."""
    billed, told = providers(settings), dict[tuple[str, str], ModelSettings]()
    for n, model in enumerate(settings.models):
        if model.gpu_usd_per_hour is None or model.name not in billed:
            continue
        for server in sorted(servers(model)):
            first = told.setdefault((billed[model.name], server), model)
            if first.gpu_usd_per_hour != model.gpu_usd_per_hour:
                said = f"must be {first.gpu_usd_per_hour}, as {first.name} has it: both run on {server}"
                yield ("models", n, "gpu_usd_per_hour"), said


def _here(price: Price, model: ModelSettings) -> Price:
    """A model is in one place here: the region of its price is told with the source."""
    source = f"{price.source}, region {price.region}" if price.region else price.source
    return replace(price, model=model.name, region="", source=source)
