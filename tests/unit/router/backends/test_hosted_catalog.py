"""What litellm's map says of models, read exactly, and nothing where it says nothing."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from router.backends import hosted_catalog
from router.backends.hosted_catalog import first_known, known_model, known_price

MAP: dict[str, dict[str, Any]] = {
    "gpt-x": {
        "litellm_provider": "openai",
        "input_cost_per_token": Decimal("1.5e-07"),
        "output_cost_per_token": Decimal("6e-07"),
        "cache_read_input_token_cost": Decimal("7.5e-08"),
        "max_input_tokens": 1000,
        "max_output_tokens": 100,
        "deprecation_date": "2026-06-01",
    },
    "groq/free": {"litellm_provider": "groq", "input_cost_per_token": 0, "output_cost_per_token": Decimal(0)},
    "groq/half": {"litellm_provider": "groq", "input_cost_per_token": Decimal("1e-06")},
    "groq/odd": {
        "litellm_provider": "groq",
        "input_cost_per_token": Decimal("1e-06"),
        "output_cost_per_token": Decimal("1e-06"),
        "max_input_tokens": "many",
        "deprecation_date": "soon",
    },
}


@pytest.fixture(autouse=True)
def _map(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosted_catalog, "_catalog", lambda: MAP)


def test_a_price_is_exact_and_has_its_meters() -> None:
    price = known_price("openai/gpt-x")
    assert price is not None
    assert price.rates == {"input": Decimal("0.15"), "output": Decimal("0.6"), "cached_input": Decimal("0.075")}
    assert (price.model, str(price.rates["input"])) == ("openai/gpt-x", "0.15")


def test_a_model_has_limits_and_a_last_day() -> None:
    model = known_model("openai/gpt-x")
    assert model is not None
    assert (model.context_tokens, model.max_output_tokens, model.retires) == (1000, 100, date(2026, 6, 1))
    odd = known_model("groq/odd")
    assert odd is not None
    assert (odd.context_tokens, odd.retires) == (None, None)


@pytest.mark.parametrize("name", ["anthropic/gpt-x", "openai/gpt-y", "", "/", "openai/"])
def test_a_name_of_another_provider_is_not_known(name: str) -> None:
    assert known_model(name) is None


@pytest.mark.parametrize("name", ["groq/free", "groq/half", "groq/none"])
def test_for_nothing_or_by_half_is_no_price(name: str) -> None:
    assert known_price(name) is None


def test_the_first_that_stays_is_taken() -> None:
    names = ["groq/free", "openai/gpt-x", "groq/odd"]
    early, late = first_known(names, today=date(2026, 1, 1)), first_known(names, today=date(2026, 5, 1))
    assert early is not None
    assert late is not None
    assert (early.name, late.name) == ("openai/gpt-x", "groq/odd")
    assert first_known(["groq/free"], today=date(2026, 1, 1)) is None


def test_the_real_map_prices_a_well_known_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    price = known_price("openai/gpt-4o-mini")
    assert price is not None
    assert price.rates["input"] > 0
