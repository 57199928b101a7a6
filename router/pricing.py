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
from typing import Literal, Self, get_args

from router.catalog import read_catalog
from router.errors import PriceError
from scorer.answer import Usage

Meter = Literal[
    "input",
    "cached_input",
    "cache_write",
    "output",
    "reasoning",
    "audio_input",
    "audio_output",
    "image",
    "request",
    "batch_input",
    "batch_output",
    "priority_input",
    "priority_cached_input",
    "priority_output",
]
METERS: tuple[Meter, ...] = get_args(Meter)
PER_PIECE = frozenset[Meter]({"image", "request"})
_PROMPT: tuple[Meter, ...] = ("input", "cached_input", "cache_write", "audio_input", "batch_input")
_COMPLETION: tuple[Meter, ...] = ("output", "reasoning", "audio_output", "batch_output")
_PRIORITY_PROMPT: tuple[Meter, ...] = ("priority_input", "priority_cached_input")

_EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN, traps=[Inexact])  # a product that is not exact is a bug, not a cost
_NANO_PER_TOKEN = Decimal(1000)  # USD per million tokens -> nano-USD per token
_NANO_PER_PIECE = Decimal(1_000_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """One model's rates while they are in force, in ``[effective_from, effective_until)``.

    rates : USD per million tokens of each meter ("request" and "image": USD per piece). "input" and "output" are always
        there; cached input, cache writes and audio fall back to "input", reasoning and spoken audio to "output". Calls
        that are served as a batch pay "batch_input" and "batch_output" in place of "input" and "output", those that are
        served with priority "priority_input", "priority_cached_input" and "priority_output"; see ``covers``.
    bands : by context: the rates of calls with more prompt tokens than the key says, for all their tokens. A meter that
        a band leaves out costs what it costs below.
    region : where it holds; "" is everywhere.
    effective_from, effective_until : aware datetimes; None is open-ended.
    version : a hash of all the above, kept beside every amount that was computed with it.
    """

    model: str
    rates: Mapping[Meter, Decimal]
    bands: Mapping[int, Mapping[Meter, Decimal]] = field(default_factory=dict)
    region: str = ""
    effective_from: datetime | None = None
    effective_until: datetime | None = None
    source: str = ""
    version: str = field(init=False, default="")

    def __post_init__(self) -> None:
        for meter in ("input", "output"):
            if meter not in self.rates:
                raise PriceError(f"price of {self.model}: there is no rate for {meter!r}")
        for meter, rate in [*self.rates.items(), *(item for band in self.bands.values() for item in band.items())]:
            if not _is_rate(rate):
                raise PriceError(f"price of {self.model}: {meter} must be between 0 and 1000000 USD, not {rate}")
        for threshold in self.bands:
            if threshold < 1:
                raise PriceError(f"price of {self.model}: a band must begin above 0 tokens, not {threshold}")
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
        rates, bands = _rates(where, entry), _bands(f"{where}.above", entry.get("above"))
        start = _moment(f"{where}.effective_from", entry.get("effective_from"))
        end = _moment(f"{where}.effective_until", entry.get("effective_until"))
        try:
            source = str(entry.get("source", ""))
            return cls(
                model=model,
                rates=rates,
                bands=bands,
                region=str(entry.get("region", "")),
                effective_from=start,
                effective_until=end,
                source=source,
            )
        except PriceError as error:
            raise PriceError(f"{where}: {error}") from error

    def in_force(self, at: datetime) -> bool:
        """Whether ``at`` (aware) lies in the half-open interval."""
        started = self.effective_from is None or self.effective_from <= at
        return started and (self.effective_until is None or at < self.effective_until)

    def covers(self, usage: Usage) -> bool:
        """Whether it says what the call was served as; where it does not, what the call costs is unknown."""
        served = "batch" if usage.batch else "priority" if usage.priority else None
        return served is None or {f"{served}_input", f"{served}_output"} <= set(self.rates)

    def at(self, prompt_tokens: int) -> Mapping[Meter, Decimal]:
        """The rates of a call with so many prompt tokens, cached ones and cache writes included."""
        applying = [threshold for threshold in self.bands if prompt_tokens > threshold]
        rates = dict(self.rates)
        for threshold in sorted(applying):
            rates.update(self.bands[threshold])
        return rates

    def as_json(self) -> dict[str, object]:
        """What it says, as ``from_entry`` reads it."""
        moments = {"effective_from": self.effective_from, "effective_until": self.effective_until}
        return {
            **{meter: _plain(self.rates[meter]) for meter in METERS if meter in self.rates},
            **(
                {"above": {str(n): {m: _plain(rate) for m, rate in band.items()} for n, band in self.bands.items()}}
                if self.bands
                else {}
            ),
            **({"region": self.region} if self.region else {}),
            **{name: moment.isoformat() for name, moment in moments.items() if moment is not None},
            "source": self.source,
        }

    def _content_hash(self) -> str:
        rates = ",".join(f"{meter}={_plain(self.rates[meter])}" for meter in METERS if meter in self.rates)
        for threshold in sorted(self.bands):
            band = self.bands[threshold]
            rates += f";{threshold}:" + ",".join(f"{meter}={_plain(band[meter])}" for meter in METERS if meter in band)
        if self.region:
            rates += f"@{self.region}"
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
    """The prices of many models over time; at most one is in force for a model in a region at any moment.

    >>> book = PriceBook([Price(model="m", rates={"input": Decimal("0.15"), "output": Decimal("0.6")})])
    >>> book.price("m") is None, book.price("unheard-of") is None
    (False, True)
    """

    def __init__(self, prices: Iterable[Price] = ()) -> None:
        self._by_model: dict[tuple[str, str], tuple[Price, ...]] = {}
        for price in prices:
            place = price.model, price.region
            self._by_model[place] = (*self._by_model.get(place, ()), price)
        for (model, region), versions in self._by_model.items():
            self._by_model[model, region] = _in_order(model, versions)

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a price list, JSON or YAML. Raises PriceError naming file, entry and field."""
        return cls(Price.from_entry(model, entry, where) for where, model, entry in read_catalog(Path(path)))

    def price(self, model: str, at: datetime | None = None, *, region: str = "") -> Price | None:
        """The price of a model in force at a moment (aware; default: now), None where it is unknown.

        region : where the call is served. Where nothing is said of it, what holds everywhere holds there.
        """
        moment = datetime.now(UTC) if at is None else at
        versions = (*self._by_model.get((model, region), ()), *(self._by_model.get((model, ""), ()) if region else ()))
        return next((price for price in versions if price.in_force(moment)), None)

    def __iter__(self) -> Iterator[Price]:
        return (price for versions in self._by_model.values() for price in versions)

    def __contains__(self, model: object) -> bool:
        return any(priced == model for priced, _ in self._by_model)


def price_of(usage: Usage, price: Price) -> Cost:
    """Price counted tokens, each meter rounded half-even to whole nano-USD once.

    Cached and cache-write tokens are contained in prompt tokens and reasoning tokens in completion tokens; each is
    billed at its own rate if the price has one, else with its whole. A part larger than its whole is billed as
    counted, and the remainder is 0. A usage that the price does not cover is billed as any other: see ``Price.covers``.
    Raises PriceError for a negative count.
    """
    lines = []
    rates = price.at(_prompt_tokens(usage))
    for meter, quantity in _quantities(usage, price, rates).items():
        if quantity == 0:
            continue
        rate = rates[meter]
        exact = _exact_nanousd(meter, quantity, rate)
        amount = int(exact.to_integral_value(rounding=ROUND_HALF_EVEN))
        lines.append(
            LineItem(meter=meter, quantity=quantity, rate=rate, price_version=price.version, amount_nanousd=amount)
        )
    return Cost(lines=tuple(lines), price_version=price.version)


def upper_bound_nanousd(
    prompt_tokens_bound: int, max_output_tokens: int, n: int, price: Price, *, priority: bool = False
) -> int:
    """What a call can cost at most, in nano-USD, however its tokens spread over the meters.

    Holds for every usage with at most ``prompt_tokens_bound`` prompt tokens and ``n * max_output_tokens`` completion
    tokens whose parts do not exceed their wholes, served with priority only if ``priority``.
    """
    if prompt_tokens_bound < 0 or max_output_tokens < 0 or n < 1:
        raise PriceError("a bound needs prompt_tokens_bound >= 0, max_output_tokens >= 0 and n >= 1")
    # with fewer tokens a lower band may hold, and may be the dearer one
    possible = [price.at(tokens) for tokens in {0, prompt_tokens_bound, *price.bands} if tokens <= prompt_tokens_bound]
    read = (*_PROMPT, *(_PRIORITY_PROMPT if priority else ()))
    written: tuple[Meter, ...] = (*_COMPLETION, *(("priority_output",) if priority else ()))
    per_token_in = max(rates[m] for rates in possible for m in read if m in rates)
    per_token_out = max(rates[m] for rates in possible for m in written if m in rates)
    total = _exact_nanousd("input", prompt_tokens_bound, per_token_in)
    total += _exact_nanousd("output", n * max_output_tokens, per_token_out)
    total += _exact_nanousd("request", 1, max(rates.get("request", Decimal(0)) for rates in possible))
    # each line may be rounded up by half a nano-dollar, but only where a unit is not a whole number of them
    inexact = max(sum(_exact_nanousd(m, 1, rate) % 1 != 0 for m, rate in rates.items()) for rates in possible)
    return int(total.to_integral_value(rounding=ROUND_CEILING)) + (inexact + 1) // 2


_COUNTS = (
    *("prompt_tokens", "completion_tokens", "cached_prompt_tokens", "cache_write_tokens", "reasoning_tokens"),
    *("audio_prompt_tokens", "audio_completion_tokens", "images"),
)


def _prompt_tokens(usage: Usage) -> int:
    """With parts that were counted beside their whole."""
    return max(usage.prompt_tokens, usage.cached_prompt_tokens + usage.cache_write_tokens)


def _quantities(usage: Usage, price: Price, rates: Mapping[Meter, Decimal]) -> dict[Meter, int]:
    for name in _COUNTS:
        if getattr(usage, name) < 0:
            raise PriceError(f"price of {price.model}: {name} must not be negative, it is {getattr(usage, name)}")
    parts: dict[Meter, int] = {
        "cached_input": usage.cached_prompt_tokens,
        "cache_write": usage.cache_write_tokens,
        "audio_input": usage.audio_prompt_tokens,
        "reasoning": usage.reasoning_tokens,
        "audio_output": usage.audio_completion_tokens,
    }
    read: Meter = "input"
    written: Meter = "output"
    if usage.batch and price.covers(usage):
        read, written = "batch_input", "batch_output"
    elif usage.priority and price.covers(usage):
        read, written = "priority_input", "priority_output"
        parts["priority_cached_input"] = parts.pop("cached_input")
    parts = {meter: quantity if meter in rates else 0 for meter, quantity in parts.items()}
    return {
        read: max(0, usage.prompt_tokens - sum(parts[m] for m in (*_PROMPT, *_PRIORITY_PROMPT) if m in parts)),
        written: max(0, usage.completion_tokens - sum(parts[m] for m in _COMPLETION if m in parts)),
        **parts,
        "image": usage.images if "image" in rates else 0,
        "request": 1 if "request" in rates else 0,
    }


def _exact_nanousd(meter: Meter, quantity: int, rate: Decimal) -> Decimal:
    unit = _NANO_PER_PIECE if meter in PER_PIECE else _NANO_PER_TOKEN
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


def _rates(where: str, entry: Mapping[str, object]) -> dict[Meter, Decimal]:
    rates: dict[Meter, Decimal] = {}
    for name, value in entry.items():
        meter = next((meter for meter in METERS if meter == name), None)
        if meter is not None:
            rates[meter] = _rate(f"{where}.{name}", value)
        elif isinstance(value, int | Decimal):  # a number under an unknown name is a misspelt rate, not a remark
            raise PriceError(f"{where}.{name}: is no meter; meters are {', '.join(METERS)}")
    return rates


def _bands(where: str, value: object) -> dict[int, dict[Meter, Decimal]]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise PriceError(f"{where}: must map numbers of prompt tokens to rates, as 200000: {{input: 2.5}}")
    bands: dict[int, dict[Meter, Decimal]] = {}
    for name, entry in value.items():
        try:
            threshold = int(str(name))
        except ValueError:
            raise PriceError(f"{where}.{name}: must be a number of prompt tokens") from None
        if not isinstance(entry, Mapping):
            raise PriceError(f"{where}.{name}: must be a mapping of rates")
        bands[threshold] = _rates(f"{where}.{name}", entry)
    return bands


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
