"""Money is exact, rounded once, dated, and unknown rather than zero."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.backends.hosted_catalog import known_price
from router.errors import PriceError
from router.pricing import METERS, PER_PIECE, Meter, Price, PriceBook, price_of, upper_bound_nanousd
from scorer.answer import Usage

CHANGE = datetime(2024, 10, 1, tzinfo=UTC)
RATES = st.decimals(0, 200, places=6)


@st.composite
def prices(draw: st.DrawFn) -> Price:
    optional: list[Meter] = [m for m in METERS if m not in ("input", "output") and draw(st.booleans())]
    bands = draw(st.dictionaries(st.integers(1, 10**6), st.dictionaries(st.sampled_from(METERS), RATES), max_size=2))
    return Price(model="m", rates={m: draw(RATES) for m in ("input", "output", *optional)}, bands=bands)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    prompt, completion = draw(st.integers(0, 10**6)), draw(st.integers(0, 10**6))
    cached = draw(st.integers(0, prompt))
    written = draw(st.integers(0, prompt - cached))
    reasoning = draw(st.integers(0, completion))
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        cached_prompt_tokens=cached,
        cache_write_tokens=written,
        audio_prompt_tokens=draw(st.integers(0, prompt - cached - written)),
        reasoning_tokens=reasoning,
        audio_completion_tokens=draw(st.integers(0, completion - reasoning)),
    )


def flat(input_rate: str, output_rate: str, cached_rate: str | None = None) -> Price:
    return Price.flat(
        "m",
        input_usd_per_mtok=Decimal(input_rate),
        output_usd_per_mtok=Decimal(output_rate),
        cached_input_usd_per_mtok=None if cached_rate is None else Decimal(cached_rate),
    )


@given(usages(), prices())
def test_each_line_is_the_exact_product_rounded_half_even_once(usage: Usage, price: Price) -> None:
    cost = price_of(usage, price)
    for line in cost.lines:
        unit = 10**9 if line.meter in PER_PIECE else 1000
        assert line.amount_nanousd == round(Fraction(line.rate) * line.quantity * unit)  # Fraction rounds half-even
        assert line.price_version == price.version == cost.price_version
    assert cost.nanousd == sum(line.amount_nanousd for line in cost.lines)
    tokens = {line.meter: line.quantity for line in cost.lines}
    assert sum(tokens.get(m, 0) for m in ("input", "cached_input", "cache_write", "audio_input")) == usage.prompt_tokens
    assert sum(tokens.get(m, 0) for m in ("output", "reasoning", "audio_output")) == usage.completion_tokens


@given(usages(), prices())
def test_no_usage_within_the_bound_costs_more_than_the_bound(usage: Usage, price: Price) -> None:
    assert price_of(usage, price).nanousd <= upper_bound_nanousd(usage.prompt_tokens, usage.completion_tokens, 1, price)


@pytest.mark.parametrize(("tokens", "nanousd"), [(1, 0), (2, 1), (3, 2), (5, 2), (7, 4)])
def test_half_a_nano_dollar_goes_to_the_even_side(tokens: int, nanousd: int) -> None:
    assert price_of(Usage(prompt_tokens=tokens, completion_tokens=0), flat("0.0005", "1")).nanousd == nanousd


def test_a_long_context_costs_its_bands_rates_for_all_its_tokens() -> None:
    rates: dict[Meter, Decimal] = {"input": Decimal(1), "cached_input": Decimal("0.1"), "output": Decimal(5)}
    price = Price(model="m", rates=rates, bands={200_000: {"input": Decimal(2), "output": Decimal(8)}})
    short = Usage(prompt_tokens=200_000, completion_tokens=10)
    assert price_of(short, price).nanousd == 200_000 * 1000 + 10 * 5000
    long = Usage(prompt_tokens=200_001, cached_prompt_tokens=1, completion_tokens=10)
    assert price_of(long, price).nanousd == 200_000 * 2000 + 100 + 10 * 8000
    assert upper_bound_nanousd(200_001, 10, 1, price) >= price_of(long, price).nanousd
    assert Price.from_entry("m", price.as_json(), "here").version == price.version


def test_hosted_models_bring_their_bands() -> None:
    price = known_price("gemini/gemini-2.5-pro")
    assert price is not None
    assert price.at(200_001)["input"] > price.at(200_000)["input"]


def test_cached_tokens_are_billed_once() -> None:
    usage = Usage(prompt_tokens=1000, completion_tokens=10, cached_prompt_tokens=800)
    assert price_of(usage, flat("2", "8")).nanousd == 1000 * 2000 + 10 * 8000
    discounted = flat("2", "8", "0.5")
    assert price_of(usage, discounted).nanousd == 200 * 2000 + 800 * 500 + 10 * 8000


def test_parts_counted_beside_their_whole_are_billed_as_counted() -> None:
    usage = Usage(prompt_tokens=10, completion_tokens=0, cached_prompt_tokens=800)
    assert price_of(usage, flat("2", "8", "1")).nanousd == 800 * 1000


def test_the_bound_counts_every_choice_and_the_dearest_meter() -> None:
    price = Price(
        model="m",
        rates={"input": Decimal(2), "cache_write": Decimal(3), "output": Decimal(8), "request": Decimal("0.001")},
    )
    assert upper_bound_nanousd(100, 50, 3, price) == 100 * 3000 + 3 * 50 * 8000 + 1_000_000
    with pytest.raises(PriceError, match="n >= 1"):
        upper_bound_nanousd(1, 1, 0, price)


def test_negative_counts_are_refused() -> None:
    with pytest.raises(PriceError, match="completion_tokens must not be negative"):
        price_of(Usage(prompt_tokens=1, completion_tokens=-1), flat("1", "1"))


def test_a_price_holds_from_its_start_until_just_before_its_end() -> None:
    old = Price(model="m", rates=flat("3", "3").rates, effective_until=CHANGE)
    new = Price(model="m", rates=flat("1", "1").rates, effective_from=CHANGE)
    book = PriceBook([new, old])
    assert book.price("m", CHANGE - timedelta(microseconds=1)) is old
    assert book.price("m", CHANGE) is new
    assert book.price("m") is new
    assert book.price("unheard-of") is None
    assert "m" in book
    assert list(book) == [old, new]
    assert PriceBook([old]).price("m") is None  # an ended price is unknown today, not the last one known


def test_two_prices_at_one_moment_are_refused() -> None:
    with pytest.raises(PriceError, match="price of m: two prices are in force"):
        PriceBook([flat("1", "1"), Price(model="m", rates=flat("1", "1").rates, effective_from=CHANGE)])


def test_the_version_is_a_hash_of_the_content() -> None:
    assert flat("1.0", "2").version == flat("1", "2.00").version
    assert flat("1", "2").version != flat("1", "2.1").version
    assert flat("1", "2").version.startswith("pr_")


JSON = """{"unit": "USD per 1,000,000 tokens",
"models": {"m": {"input": 0.1, "output": 0.30, "note": "list", "as_of": "2024"}}}"""
YAML = """
models:
  m:
    - {input: 0.2, output: 0.60, effective_until: 2024-10-01}
    - {input: 0.1, output: 0.30, cached_input: 0.05, effective_from: 2024-10-01T00:00:00Z, source: list}
"""


def test_both_notations_keep_decimals_as_written(tmp_path: Path) -> None:
    (tmp_path / "prices.json").write_text(JSON)
    (tmp_path / "prices.yaml").write_text(YAML)
    from_json = PriceBook.load(tmp_path / "prices.json").price("m")
    book = PriceBook.load(str(tmp_path / "prices.yaml"))
    assert from_json is not None
    assert from_json.rates == {"input": Decimal("0.1"), "output": Decimal("0.3")}
    before, after = book.price("m", CHANGE - timedelta(days=1)), book.price("m", CHANGE)
    assert before is not None
    assert before.rates["input"] == Decimal("0.2")
    assert after is not None
    assert (after.rates["cached_input"], after.source) == (Decimal("0.05"), "list")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.json", "{", "p.json: is not valid json"),
        ("p.yaml", "models: [", "p.yaml: is not valid yaml"),
        ("p.json", "[]", "must be a mapping with a field 'models'"),
        ("p.json", '{"unit": "EUR", "models": {}}', "unit must be"),
        ("p.json", '{"models": {"m": 3}}', "models.m: must be a mapping"),
        ("p.json", '{"models": {"m": {"input": 1}}}', "models.m.output: is missing"),
        ("p.json", '{"models": {"m": [{"output": 1}]}}', r"models.m\[0\].input: is missing"),
        ("p.json", '{"models": {"m": {"input": -1, "output": 1}}}', "models.m.input: must be between 0 and"),
        ("p.json", '{"models": {"m": {"input": NaN, "output": 1}}}', "models.m.input: must be between 0 and"),
        ("p.json", '{"models": {"m": {"input": true, "output": 1}}}', "models.m.input: must be a number, not True"),
        ("p.json", '{"models": {"m": {"input": "x", "output": 1}}}', "models.m.input: must be a number, not 'x'"),
        ("p.json", '{"models": {"m": {"input": 1, "output": 1, "cached": 1}}}', "models.m.cached: is no meter"),
        ("p.json", '{"models": {"m": {"input": 1, "input": 1}}}', "'input' is there twice"),
        ("p.yaml", "models: {m: {input: 1, input: 1}}", "'input' is there twice"),
        ("p.yaml", "models: {m: {input: .inf, output: 1}}", "models.m.input: must be a number"),
        (
            "p.yaml",
            "models: {m: {input: 1, output: 1, effective_from: soon}}",
            "models.m.effective_from: must be a date or an ISO 8601 time, not 'soon'",
        ),
        (
            "p.yaml",
            "models: {m: {input: 1, output: 1, effective_from: 2024-01-02, effective_until: 2024-01-01}}",
            "models.m: price of m: effective_until must come after",
        ),
    ],
)
def test_a_bad_price_list_is_refused_by_entry_and_field(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(PriceError, match=message):
        PriceBook.load(path)


def test_a_missing_price_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PriceError, match=r"absent\.json: cannot be read"):
        PriceBook.load(tmp_path / "absent.json")
