"""What a call costs: rates with dates, the pricing of a usage, and a bound before the call.

Knows exact decimal rates and counted tokens. Knows no provider, no call, no ledger, and never guesses: a model without
a price in force has the price None, which is not zero.
"""

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Context, Decimal, Inexact, InvalidOperation
from pathlib import Path
from typing import Literal, Self

from router.catalog import read_catalog
from router.errors import PriceError
from scorer.answer import Usage

Meter = Literal["input", "cached_input", "cache_write", "output", "reasoning", "request"]
METERS: tuple[Meter, ...] = ("input", "cached_input", "cache_write", "output", "reasoning", "request")

_EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN, traps=[Inexact])  # a product that is not exact is a bug, not a cost
_NANO_PER_TOKEN = Decimal(1000)  # USD per million tokens -> nano-USD per token
_NANO_PER_REQUEST = Decimal(1_000_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """One model's rates while they are in force, in ``[effective_from, effective_until)``.

    rates : USD per million tokens of each meter ("request": USD per request). "input" and "output" are always there;
        cached input and cache writes fall back to "input", reasoning to "output".
    effective_from, effective_until : aware datetimes; None is open-ended.
    version : a hash of all the above, kept beside every amount that was computed with it.
    """

    model: str
    rates: Mapping[Meter, Decimal]
    effective_from: datetime | None = None
    effective_until: datetime | None = None
    source: str = ""
    version: str = field(init=False, default="")

    def __post_init__(self) -> None:
        for meter in ("input", "output"):
            if meter not in self.rates:
                raise PriceError(f"price of {self.model}: there is no rate for {meter!r}")
        for meter, rate in self.rates.items():
            if not _is_rate(rate):
                raise PriceError(f"price of {self.model}: {meter} must be between 0 and 1000000 USD, not {rate}")
        for name in ("effective_from", "effective_until"):
            moment: datetime | None = getattr(self, name)
            if moment is not None and moment.tzinfo is None:
                raise PriceError(f"price of {self.model}: {name} must have a time zone")
        if self.effective_from and self.effective_until and self.effective_from >= self.effective_until:
            raise PriceError(f"price of {self.model}: effective_until must come after effective_from")
        object.__setattr__(self, "version", self._content_hash())

    @classmethod
    def flat(
        cls,
        model: str,
        *,
        input_usd_per_mtok: Decimal,
        output_usd_per_mtok: Decimal,
        cached_input_usd_per_mtok: Decimal | None = None,
        source: str = "",
    ) -> Self:
        """A price without dates, as a configuration states it."""
        rates: dict[Meter, Decimal] = {"input": input_usd_per_mtok, "output": output_usd_per_mtok}
        if cached_input_usd_per_mtok is not None:
            rates["cached_input"] = cached_input_usd_per_mtok
        return cls(model=model, rates=rates, source=source)

    @classmethod
    def from_entry(cls, model: str, entry: Mapping[str, object], where: str) -> Self:
        """A price from one entry of a price list. Raises PriceError that begins with ``where`` and names the field."""
        for required in ("input", "output"):
            if required not in entry:
                raise PriceError(f"{where}.{required}: is missing")
        rates: dict[Meter, Decimal] = {}
        for name, value in entry.items():
            meter = next((meter for meter in METERS if meter == name), None)
            if meter is not None:
                rates[meter] = _rate(f"{where}.{name}", value)
            elif isinstance(value, int | Decimal):  # a number under an unknown name is a misspelt rate, not a remark
                raise PriceError(f"{where}.{name}: is no meter; meters are {', '.join(METERS)}")
        start = _moment(f"{where}.effective_from", entry.get("effective_from"))
        end = _moment(f"{where}.effective_until", entry.get("effective_until"))
        try:
            source = str(entry.get("source", ""))
            return cls(model=model, rates=rates, effective_from=start, effective_until=end, source=source)
        except PriceError as error:
            raise PriceError(f"{where}: {error}") from error

    def in_force(self, at: datetime) -> bool:
        """Whether ``at`` (aware) lies in the half-open interval."""
        started = self.effective_from is None or self.effective_from <= at
        return started and (self.effective_until is None or at < self.effective_until)

    def _content_hash(self) -> str:
        rates = ",".join(f"{meter}={_plain(self.rates[meter])}" for meter in METERS if meter in self.rates)
        moments = [
            "" if m is None else m.astimezone(UTC).isoformat() for m in (self.effective_from, self.effective_until)
        ]
        content = "\n".join([self.model, rates, *moments, self.source])
        return "pr_" + hashlib.sha256(content.encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True, kw_only=True)
class LineItem:
    """One meter of one call. ``rate`` is in USD per million tokens, for the meter "request" in USD per request."""

    meter: Meter
    quantity: int
    rate: Decimal
    price_version: str
    amount_nanousd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one call costs, line by line."""

    lines: tuple[LineItem, ...]
    price_version: str

    @property
    def nanousd(self) -> int:
        """The sum of the lines, in nano-USD."""
        return sum(line.amount_nanousd for line in self.lines)


class PriceBook:
    """The prices of many models over time; at most one is in force for a model at any moment.

    >>> book = PriceBook([Price(model="m", rates={"input": Decimal("0.15"), "output": Decimal("0.6")})])
    >>> book.price("m") is None, book.price("unheard-of") is None
    (False, True)
    """

    def __init__(self, prices: Iterable[Price] = ()) -> None:
        self._by_model: dict[str, tuple[Price, ...]] = {}
        for price in prices:
            self._by_model[price.model] = (*self._by_model.get(price.model, ()), price)
        for model, versions in self._by_model.items():
            self._by_model[model] = _in_order(model, versions)

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a price list, JSON or YAML. Raises PriceError naming file, entry and field."""
        return cls(Price.from_entry(model, entry, where) for where, model, entry in read_catalog(Path(path)))

    def price(self, model: str, at: datetime | None = None) -> Price | None:
        """The price of a model in force at a moment (aware; default: now), None where it is unknown."""
        versions = self._by_model.get(model)
        if versions is None:
            return None
        moment = datetime.now(UTC) if at is None else at
        return next((price for price in versions if price.in_force(moment)), None)

    def __iter__(self) -> Iterator[Price]:
        return (price for versions in self._by_model.values() for price in versions)

    def __contains__(self, model: object) -> bool:
        return model in self._by_model


def price_of(usage: Usage, price: Price) -> Cost:
    """Price counted tokens, each meter rounded half-even to whole nano-USD once.

    Cached and cache-write tokens are contained in prompt tokens and reasoning tokens in completion tokens; each is
    billed at its own rate if the price has one, else with its whole. A part larger than its whole is billed as
    counted, and the remainder is 0. Raises PriceError for a negative count.
    """
    lines = []
    for meter, quantity in _quantities(usage, price).items():
        if quantity == 0:
            continue
        rate = price.rates[meter]
        exact = _exact_nanousd(meter, quantity, rate)
        amount = int(exact.to_integral_value(rounding=ROUND_HALF_EVEN))
        lines.append(
            LineItem(meter=meter, quantity=quantity, rate=rate, price_version=price.version, amount_nanousd=amount)
        )
    return Cost(lines=tuple(lines), price_version=price.version)


def upper_bound_nanousd(prompt_tokens_bound: int, max_output_tokens: int, n: int, price: Price) -> int:
    """What a call can cost at most, in nano-USD, however its tokens spread over the meters.

    Holds for every usage with at most ``prompt_tokens_bound`` prompt tokens and ``n * max_output_tokens`` completion
    tokens whose parts do not exceed their wholes.
    """
    if prompt_tokens_bound < 0 or max_output_tokens < 0 or n < 1:
        raise PriceError("a bound needs prompt_tokens_bound >= 0, max_output_tokens >= 0 and n >= 1")
    per_token_in = max(price.rates[m] for m in ("input", "cached_input", "cache_write") if m in price.rates)
    per_token_out = max(price.rates[m] for m in ("output", "reasoning") if m in price.rates)
    total = _exact_nanousd("input", prompt_tokens_bound, per_token_in)
    total += _exact_nanousd("output", n * max_output_tokens, per_token_out)
    total += _exact_nanousd("request", 1, price.rates.get("request", Decimal(0)))
    # each line may be rounded up by half a nano-dollar, but only where a unit is not a whole number of them
    inexact = sum(_exact_nanousd(meter, 1, rate) % 1 != 0 for meter, rate in price.rates.items())
    return int(total.to_integral_value(rounding=ROUND_CEILING)) + (inexact + 1) // 2


def _quantities(usage: Usage, price: Price) -> dict[Meter, int]:
    for name in (
        "prompt_tokens",
        "completion_tokens",
        "cached_prompt_tokens",
        "cache_write_tokens",
        "reasoning_tokens",
    ):
        if getattr(usage, name) < 0:
            raise PriceError(f"price of {price.model}: {name} must not be negative, it is {getattr(usage, name)}")
    parts: dict[Meter, int] = {
        "cached_input": usage.cached_prompt_tokens if "cached_input" in price.rates else 0,
        "cache_write": usage.cache_write_tokens if "cache_write" in price.rates else 0,
        "reasoning": usage.reasoning_tokens if "reasoning" in price.rates else 0,
    }
    return {
        "input": max(0, usage.prompt_tokens - parts["cached_input"] - parts["cache_write"]),
        "cached_input": parts["cached_input"],
        "cache_write": parts["cache_write"],
        "output": max(0, usage.completion_tokens - parts["reasoning"]),
        "reasoning": parts["reasoning"],
        "request": 1 if "request" in price.rates else 0,
    }


def _exact_nanousd(meter: Meter, quantity: int, rate: Decimal) -> Decimal:
    unit = _NANO_PER_REQUEST if meter == "request" else _NANO_PER_TOKEN
    return _EXACT.multiply(_EXACT.multiply(Decimal(quantity), rate), unit)


def _in_order(model: str, versions: tuple[Price, ...]) -> tuple[Price, ...]:
    earliest = datetime.min.replace(tzinfo=UTC)
    ordered = tuple(sorted(versions, key=lambda price: price.effective_from or earliest))
    for earlier, later in itertools.pairwise(ordered):
        starts = later.effective_from or earliest
        if earlier.effective_until is None or earlier.effective_until > starts:
            raise PriceError(f"price of {model}: two prices are in force at {starts.isoformat()}; end one before")
    return ordered


def _plain(rate: Decimal) -> str:
    text = format(rate, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _rate(where: str, value: object) -> Decimal:
    try:
        rate = Decimal(value) if isinstance(value, int | str | Decimal) and not isinstance(value, bool) else None
    except InvalidOperation:
        rate = None
    if rate is None:
        raise PriceError(f"{where}: must be a number, not {value!r}")
    if not _is_rate(rate):
        raise PriceError(f"{where}: must be between 0 and 1000000 USD, not {rate}")
    return rate


def _is_rate(rate: Decimal) -> bool:
    return rate.is_finite() and 0 <= rate <= 1_000_000 and rate == round(rate, 18)


def _moment(where: str, value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        moment = value
    if isinstance(moment, date) and not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    if moment is None:
        return None
    if not isinstance(moment, datetime):
        raise PriceError(f"{where}: must be a date or an ISO 8601 time, not {value!r}")
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
