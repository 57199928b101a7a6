"""Where a model's price comes from, in which order, and that an unknown one stays unknown."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from gateway.config.check import load_settings
from gateway.config.prices import gpu_bills, price_book
from gateway.errors import ConfigError
from router.pricing import PriceBook

LIST = {"models": {"listed": {"input": 3, "output": 4}, "both": {"input": 5, "output": 6}}}


def book(folder: Path, models: str, prices: object = LIST) -> PriceBook:
    (folder / "prices.json").write_text(json.dumps(prices))
    (folder / "spillway.yaml").write_text(f"prices: prices.json\nmodels:\n{models}")
    return price_book(load_settings(folder / "spillway.yaml", env={}))


def rate(prices: PriceBook, model: str) -> Decimal | None:
    price = prices.price(model)
    return None if price is None else price.rates["input"]


OWN = "backend: openai_compatible, base_url: 'http://127.0.0.1:1'"


def test_the_configurations_own_price_comes_first_then_the_list_then_what_is_known(tmp_path: Path) -> None:
    own = "price: {input_usd_per_mtok: 1.10, output_usd_per_mtok: 2}"
    models = [
        f"- {{name: both, {OWN}, {own}}}",
        f"- {{name: listed, {OWN}}}",
        f"- {{name: mine, {OWN}, upstream_model: listed}}",
        "- {name: hosted, backend: hosted, upstream_model: openai/gpt-4o-mini}",
        f"- {{name: unheard-of, {OWN}}}",
        "- {name: nobody, backend: hosted, upstream_model: nobody/none}",
    ]
    prices = book(tmp_path, "\n".join(models))
    assert rate(prices, "both") == Decimal("1.10")
    assert rate(prices, "listed") == 3
    assert rate(prices, "mine") == 3
    assert rate(prices, "hosted") == Decimal("0.15")
    assert rate(prices, "unheard-of") is None
    assert rate(prices, "nobody") is None


def test_a_broken_list_is_placed_in_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"line 1: prices: .*models\.listed"):
        book(tmp_path, f"- {{name: listed, {OWN}}}", {"models": {"listed": {"input": "x"}}})


def test_tiers_on_one_server_have_one_bill_and_servers_of_a_provider_each_their_own(tmp_path: Path) -> None:
    def tier(name: str, port: int, provider: str, usd: str) -> str:
        place = f"backend: openai_compatible, base_url: 'http://127.0.0.1:{port}/v1'"
        return f"- {{name: {name}, {place}, provider: {provider}, gpu_usd_per_hour: {usd}}}"

    tiers = [tier("base", 1, "pool", "2.345678901"), tier("adapter", 1, "pool", "2.345678901")]
    tiers += [tier("quantized", 2, "pool", "1"), tier("other", 3, "elsewhere", "4")]
    (tmp_path / "spillway.yaml").write_text("models:\n" + "\n".join(tiers))
    bills = gpu_bills(load_settings(tmp_path / "spillway.yaml", env={}))
    assert bills == {"pool": 3_345_678_901, "elsewhere": 4_000_000_000}


def test_one_server_has_one_price(tmp_path: Path) -> None:
    place = "backend: openai_compatible, base_url: 'http://127.0.0.1:1/v1', provider: pool"
    tiers = [f"- {{name: base, {place}, gpu_usd_per_hour: 2}}", f"- {{name: adapter, {place}, gpu_usd_per_hour: 3}}"]
    (tmp_path / "spillway.yaml").write_text("models:\n" + "\n".join(tiers))
    with pytest.raises(
        ConfigError, match=r"models\[1\]\.gpu_usd_per_hour: must be 2, as base has it: both run on http"
    ):
        load_settings(tmp_path / "spillway.yaml", env={})
